"""Several keys of one provider: as the fleet file names them, and as they are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.core.errors import FleetError
from app.registry import secrets
from app.registry.fleet import Fleet, parse
from app.services.scopes import key_scopes, scopes_of

_FLEET = """
[[provider]]
name = "groq"
protocol = "openai"
base_url = "https://api.groq.com/openai/v1"
{keys}
rpm = 30
rph = 900
tpmo = 1000000
learn_upwards = true

[[provider.model]]
id = "llama"
tier = "cheap"
family = "llama"
context_window = 1000
max_output = 100
rpmo = 5
"""


def fleet(keys: str, home: Path = Path()) -> Fleet:
    return parse(_FLEET.format(keys=keys).encode(), home / "fleet.toml")


def test_new_limits_reach_the_deployment() -> None:
    deployment = fleet("").deployment("groq/llama")
    limits = deployment.provider_limits
    assert (limits.rpm, limits.rph, limits.tpmo, deployment.limits.rpmo) == (30, 900, 1_000_000, 5)
    assert all(scope.learn_upwards for scope in scopes_of(fleet(""), deployment))


def test_one_key_or_several(monkeypatch: pytest.MonkeyPatch) -> None:
    row = fleet('api_key_env = ["KEY_A", "KEY_B", "KEY_C"]').provider("groq")
    assert row.key_refs == ("KEY_A", "KEY_B", "KEY_C")
    assert secrets.api_keys(row) == ()
    assert secrets.missing([row]) == {
        "groq": "set the environment variable KEY_A or set the environment variable KEY_B"
        " or set the environment variable KEY_C"
    }
    monkeypatch.setenv("KEY_B", " second ")
    monkeypatch.setenv("KEY_C", "second")
    (key,) = secrets.api_keys(row)
    assert (key.ref, key.key) == ("KEY_B", "second")
    assert "second" not in repr(key)
    assert secrets.missing([row]) == {}, "one key is enough to be called"
    assert secrets.absent(row) == ("set the environment variable KEY_A", "set the environment variable KEY_C")
    monkeypatch.setenv("KEY_A", "first")
    assert [key.ref for key in secrets.api_keys(row)] == ["KEY_A", "KEY_B"]
    assert fleet('api_key_env = "KEY_A"').provider("groq").key_refs == ("KEY_A",)


def test_files_are_called_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "b.key").write_text("from-b\n")
    row = fleet('api_key_file = ["keys/a.key", "b.key"]', tmp_path).provider("groq")
    assert row.key_refs == ("a.key", "b.key")
    assert [(key.ref, key.key) for key in secrets.api_keys(row)] == [("b.key", "from-b")]
    assert secrets.absent(row) == (f"put the key, on one line, into the file {tmp_path / 'keys/a.key'}",)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ('api_key_env = ["A", "A"]', "must not name one twice"),
        ('api_key_env = ["A", 3]', "must be a string, or an array of strings"),
        ("api_key_env = 3", "must be a string, or an array of strings"),
        ('api_key_env = ["A", "gsk_1234567890abcdef"]', "never the key itself"),
        ('api_key_file = ["a/k", "b/k"]', "files of different names"),
        ('api_key_file = ["a", "sk-1234567890abcdef"]', "never the key itself"),
        ('api_key_env = ["A"]\napi_key_file = ["k"]', "are alternatives"),
        ('limits_per = "keys"', 'did you mean "key"?'),
        (f"api_key_env = {[f'K{n}' for n in range(33)]}", "must be at most 32"),
    ],
)
def test_what_is_wrong_with_keys_is_said_without_repeating_them(keys: str, said: str) -> None:
    with pytest.raises(FleetError) as caught:
        fleet(keys)
    assert said in str(caught.value)
    assert "1234567890abcdef" not in str(caught.value)
    assert "fleet.toml:6: " in str(caught.value) or "are alternatives" in said


def test_keys_share_scopes_unless_each_has_limits_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = fleet('api_key_env = ["A_KEY", "B_KEY"]')
    own = fleet('api_key_env = ["A_KEY", "B_KEY"]\nlimits_per = "key"')
    alone = fleet('api_key_env = ["A_KEY"]\nlimits_per = "key"')

    def names(of: Fleet, ref: str | None = "A_KEY") -> list[str]:
        return [scope.name for scope in scopes_of(of, of.deployment("groq/llama"), ref)]

    assert names(shared) == names(alone) == names(own, None) == ["provider:groq", "deployment:groq/llama"]
    assert names(own) == ["provider:groq#A_KEY", "deployment:groq/llama#A_KEY"]
    scope = scopes_of(own, own.deployment("groq/llama"), "A_KEY")[1]
    assert (scope.kind, scope.subject, scope.key_ref) == ("deployment", "groq/llama", "A_KEY")

    def all_names(of: Fleet) -> list[str]:
        return [scopes[0].name for scopes in key_scopes(of, of.deployment("groq/llama"))]

    assert all_names(shared) == all_names(alone) == ["provider:groq"]
    assert all_names(own) == ["provider:groq#A_KEY", "provider:groq#B_KEY"]
    monkeypatch.setenv("B_KEY", "b")
    assert all_names(own) == ["provider:groq#B_KEY"]
