"""The environment, read once into one frozen value.

Every name starts with ``SWITCHYARD_``. ``.env`` files are not read: what a process does follows from its
environment alone. Units are in the names (``_s`` seconds, ``_bytes``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.core.errors import UsageError

_PREFIX = "SWITCHYARD_"

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]


def _here(name: str) -> Path | None:
    path = Path(name)
    return path if path.is_file() else None


def _fleet_here() -> Path | None:
    return _here("fleet.toml")


def _newspaper_here() -> Path | None:
    return _here("newspaper.toml")


class Settings(BaseSettings):
    """What this process was told. URLs are masked in every repr; ``get_secret_value()`` opens one."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_file=None,
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
        validate_default=False,
    )

    database_url: SecretStr | None = None
    """``postgresql+psycopg://...``, as SQLAlchemy takes it; the other Postgres spellings are rewritten to it."""
    redis_url: SecretStr | None = None
    """``redis://``, ``rediss://`` or ``unix://``. The gates count here."""
    broker_url: SecretStr | None = None
    """What Celery sends through; ``amqp://`` works. Unset: the Redis URL, see ``broker``."""
    fleet: Path | None = Field(default_factory=_fleet_here)
    """The fleet file. Unset: ``fleet.toml`` in the current directory, if there is one."""
    newspaper: Path | None = Field(default_factory=_newspaper_here)
    """The newspaper's file. Unset: ``newspaper.toml`` in the current directory, if there is one."""
    home: Path = Path(".switchyard")
    """Embedded data and logs."""

    chunk_size: int = Field(default=25, ge=1, le=1000)
    horizon_s: Seconds = 20.0
    health_every_s: Seconds = 300
    sweep_every_s: Seconds = 10
    dispatch_every_s: Seconds = 2
    press_every_s: Seconds = 5
    """Between two looks at the editions, where there is a newspaper."""
    specimen: bool = False
    """The models of this yard are simulated: every edition is marked as a specimen."""
    lease_s: Seconds = 30
    gate_margin_s: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    connect_timeout_s: Seconds = 10
    max_answer_bytes: int = Field(default=2_000_000, ge=1)
    drills: bool = False
    """May failures be let loose on this yard (``switchyard drill``)? Asked of the workers and of the command alike."""
    flower_address: str = Field(default="127.0.0.1", min_length=1)
    """Where Flower listens. Anything but loopback is for a container that publishes the port on loopback."""
    flower_port: int = Field(default=5555, ge=1, le=65535)
    flower_user: str = Field(default="switchyard", min_length=1)

    learn: bool = True
    """Do outcomes and votes correct the fleet file's quality, weigh voices, and make clones one voice?"""
    learn_every_s: Seconds = 300

    alerts_every_s: Seconds = 30
    alert_webhook_url: SecretStr | None = None
    alert_webhook_secret: SecretStr | None = None
    """``whsec_`` and a key in base64, as the Standard Webhooks specification has it."""
    alert_slack_url: SecretStr | None = None
    alert_smtp_url: SecretStr | None = None
    """``smtp://user:password@host:587`` (STARTTLS) or ``smtps://``."""
    alert_mail_to: SecretStr | None = None
    """One or more addresses, with commas between them."""
    alert_mail_from: SecretStr | None = None
    alert_p95_latency_s: Seconds = 5.0
    alert_error_rate: Share = 0.01
    alert_fallback_rate: Share = 0.05
    alert_cost: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """What a job will cost at its present pace, over its ``--max-cost``."""
    alert_quality: Share = 0.7
    alert_quota: Share = 0.9
    """Share of a daily or longer limit that is used."""
    alert_stalled_s: Seconds = 600
    alert_least_samples: int = Field(default=20, ge=1)
    """Calls or items within the window below which no rate raises an alarm."""
    alert_window_s: Seconds = 300
    """What rates, latency and quality are measured over: the last so many seconds."""
    allow_private_addresses: bool = False
    """Webhooks may go to private and loopback addresses, and over plain http; never to a cloud's metadata service."""

    @property
    def broker(self) -> SecretStr | None:
        """The broker URL that holds: the one given, else that of Redis. None where neither is set yet."""
        return self.broker_url or self.redis_url

    @field_validator("database_url")
    @classmethod
    def _postgres(cls, url: SecretStr | None) -> SecretStr | None:
        if url is None:
            return None
        scheme, mark, rest = url.get_secret_value().partition("://")
        if not mark or scheme not in {"postgresql+psycopg", "postgresql", "postgres"}:
            raise ValueError("must start with postgresql:// or postgresql+psycopg://")
        return SecretStr(f"postgresql+psycopg://{rest}")

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must start with redis://, rediss:// or unix://")
        return url

    @field_validator("broker_url")
    @classmethod
    def _broker(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and "://" not in url.get_secret_value():
            raise ValueError("must be a URL such as redis://host:6379/0 or amqp://host")
        return url


def load_settings() -> Settings:
    """Read the environment.

    Raises ``UsageError`` naming every variable that is wrong and what it should be; never its value, which may
    hold a password.
    """
    try:
        return Settings()
    except ValidationError as error:
        wrong = [
            f"{_PREFIX}{'_'.join(map(str, each['loc'])).upper()}: {each['msg'].removeprefix('Value error, ')}"
            for each in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        # `from None`: the chained error would carry the values into tracebacks.
        raise UsageError("; ".join(wrong), hint="Correct or unset the variable.") from None
