"""The environment becomes one frozen value, or an error that names the variable and hides its value."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from app.core.errors import UsageError
from app.settings import load_settings


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("SWITCHYARD_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def _opened(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None


def test_nothing_set_gives_the_documented_defaults() -> None:
    settings = load_settings()
    assert settings.model_dump() == {
        "database_url": None,
        "redis_url": None,
        "broker_url": None,
        "fleet": None,
        "newspaper": None,
        "home": Path(".switchyard"),
        "chunk_size": 25,
        "horizon_s": 20.0,
        "health_every_s": 300,
        "sweep_every_s": 10,
        "dispatch_every_s": 2,
        "press_every_s": 5,
        "specimen": False,
        "lease_s": 30,
        "gate_margin_s": 1.0,
        "connect_timeout_s": 10,
        "max_answer_bytes": 2_000_000,
        "drills": False,
        "flower_address": "127.0.0.1",
        "flower_port": 5555,
        "flower_user": "switchyard",
        "learn": True,
        "learn_every_s": 300,
        "alerts_every_s": 30,
        "alert_webhook_url": None,
        "alert_webhook_secret": None,
        "alert_slack_url": None,
        "alert_smtp_url": None,
        "alert_mail_to": None,
        "alert_mail_from": None,
        "alert_p95_latency_s": 5.0,
        "alert_error_rate": 0.01,
        "alert_fallback_rate": 0.05,
        "alert_cost": 1.0,
        "alert_quality": 0.7,
        "alert_quota": 0.9,
        "alert_stalled_s": 600,
        "alert_least_samples": 20,
        "alert_window_s": 300,
        "allow_private_addresses": False,
    }
    assert settings.broker is None


def test_the_fleet_file_of_the_current_directory_is_found() -> None:
    Path("fleet.toml").touch()
    assert load_settings().fleet == Path("fleet.toml")


def test_a_named_fleet_file_goes_before_the_one_here(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("fleet.toml").touch()
    monkeypatch.setenv("SWITCHYARD_FLEET", "/srv/other.toml")
    assert load_settings().fleet == Path("/srv/other.toml")


def test_the_newspaper_of_the_current_directory_is_found_and_a_named_one_goes_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("newspaper.toml").touch()
    assert load_settings().newspaper == Path("newspaper.toml")
    monkeypatch.setenv("SWITCHYARD_NEWSPAPER", "/srv/other.toml")
    assert load_settings().newspaper == Path("/srv/other.toml")


def test_a_dotenv_file_is_not_read() -> None:
    Path(".env").write_text("SWITCHYARD_CHUNK_SIZE=7\n")
    assert load_settings().chunk_size == 25


def test_an_empty_variable_is_an_unset_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_REDIS_URL", "")
    assert load_settings().redis_url is None


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_spelling_of_postgres_reaches_sqlalchemy(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setenv("SWITCHYARD_DATABASE_URL", f"{scheme}://u:p@db/yard")
    assert _opened(load_settings().database_url) == "postgresql+psycopg://u:p@db/yard"


def test_the_broker_is_redis_unless_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_REDIS_URL", "redis://cache/0")
    assert _opened(load_settings().broker) == "redis://cache/0"
    monkeypatch.setenv("SWITCHYARD_BROKER_URL", "amqp://rabbit")
    assert _opened(load_settings().broker) == "amqp://rabbit"


def test_secrets_are_masked_and_the_value_is_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_DATABASE_URL", "postgresql://u:hunter2@db/yard")
    monkeypatch.setenv("SWITCHYARD_REDIS_URL", "redis://:hunter2@cache/0")
    settings = load_settings()
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    with pytest.raises(ValidationError):
        settings.chunk_size = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CHUNK_SIZE", "0"),
        ("CHUNK_SIZE", "many-hunter2"),
        ("HORIZON_S", "-1"),
        ("LEASE_S", "nan"),
        ("FLOWER_PORT", "70000"),
        ("DATABASE_URL", "mysql://u:hunter2@db/yard"),
        ("DATABASE_URL", "hunter2"),
        ("REDIS_URL", "http://hunter2@cache"),
        ("BROKER_URL", "hunter2"),
    ],
)
def test_a_bad_value_names_its_variable_and_never_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"SWITCHYARD_{name}", value)
    with pytest.raises(UsageError) as caught:
        load_settings()
    assert str(caught.value).startswith(f"SWITCHYARD_{name}: ")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


def test_all_bad_values_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_CHUNK_SIZE", "x")
    monkeypatch.setenv("SWITCHYARD_LEASE_S", "y")
    with pytest.raises(UsageError, match=r"SWITCHYARD_CHUNK_SIZE: .*; SWITCHYARD_LEASE_S: "):
        load_settings()
