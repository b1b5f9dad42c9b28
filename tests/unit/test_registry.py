"""The fleet file: what it accepts, what it says when it refuses, and how a running process follows it."""

from __future__ import annotations

import logging
import random
import re
import tomllib
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from app.core.errors import FleetError, NotFound
from app.core.values import Limits, Price, Tier
from app.dialects import DIALECTS
from app.registry import secrets
from app.registry.fleet import Fleet, FleetFile, load, parse
from app.registry.lines import Lines
from app.registry.rows import PROTOCOLS, ModelRow, ProviderRow
from app.registry.tomlfile import LARGEST_BYTES

GOOD = """\
[[provider]]
name = "groq"
protocol = "openai"
base_url = "https://api.groq.com/openai/v1"
api_key_env = "GROQ_API_KEY"
rpm = 30
rpd = 14400
tpm = 6000
tpd = 500000
concurrency = 4
quota_reset = "Europe/Berlin"
timeout_s = 12.5

[[provider.model]]
id = "llama-3.1-8b-instant"
tier = "cheap"
family = "llama-3.1-8b"
context_window = 131072
max_output = 8192
input_price = 0.05
output_price = 0.0375
capabilities = ["json", "code"]
quality = 0.6

[[provider]]
name = "home"
protocol = "openai"
base_url = "http://gpu-box:11434/v1/"
local = true

[[provider.model]]
id = "qwen3:8b"
tier = "standard"
family = "qwen3-8b"
context_window = 32768
max_output = 4096
capabilities = ["reasoning"]
rpm = 7
"""
FILE = Path("fleet.toml")


def read(text: str) -> Fleet:
    return parse(text.encode(), FILE)


def complaint(text: str | bytes) -> str:
    with pytest.raises(FleetError) as caught:
        parse(text if isinstance(text, bytes) else text.encode(), FILE)
    return str(caught.value)


def swap(old: str, new: str) -> str:
    assert GOOD.count(old) >= 1
    return GOOD.replace(old, new, 1)


def test_a_good_file_becomes_deployments_with_exact_prices_and_both_kinds_of_limits() -> None:
    fleet = read(GOOD)
    groq, home = fleet.deployments
    assert groq.name == "groq/llama-3.1-8b-instant"
    assert groq.price == Price(input_micro=50_000, output_micro=37_500)
    assert groq.provider_limits == Limits(rpm=30, rpd=14400, tpm=6000, tpd=500000, concurrency=4)
    assert groq.limits == Limits()
    assert (groq.tier, groq.quality, groq.timeout_s, groq.local) == (Tier.CHEAP, 0.6, 12.5, False)
    assert groq.capabilities == {"json", "code"}
    assert home.limits == Limits(rpm=7) and home.provider_limits == Limits()
    assert home.local and home.reasoning and home.quality == 0.5 and home.price == Price(0, 0)
    assert fleet.provider("groq").quota_reset == "Europe/Berlin"
    assert fleet.provider("home").base_url == "http://gpu-box:11434/v1"
    assert fleet.deployment("home/qwen3:8b") is home
    assert len(fleet.digest) == 64 and fleet.digest != read(GOOD + "\n").digest
    assert read("\ufeff" + GOOD).deployments == fleet.deployments
    assert read(GOOD.replace("\n", "\r\n")).deployments == fleet.deployments


def test_a_name_that_is_not_there_is_answered_with_the_nearest() -> None:
    with pytest.raises(NotFound, match=r'no provider "grok"; did you mean "groq"\?'):
        read(GOOD).provider("grok")
    with pytest.raises(NotFound, match=r'did you mean "home/qwen3:8b"'):
        read(GOOD).deployment("home/qwen3-8b")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("rpm = 30", "rmp = 30", 'fleet.toml:6: provider "groq": unknown key "rmp"; did you mean "rpm"?'),
        ("rpm = 30", '"RPM" = 30', 'fleet.toml:6: provider "groq": unknown key "RPM"; did you mean "rpm"?'),
        ("rpm = 30", "tier = 30", 'fleet.toml:6: provider "groq": unknown key "tier"; it belongs into a [[prov'),
        ("rpm = 30", "xyzzy = 30", 'fleet.toml:6: provider "groq": unknown key "xyzzy"; known are rpm, rpd'),
        ("rpm = 30", "rpm = 0", 'fleet.toml:6: provider "groq": rpm must be between 1 and'),
        ("rpm = 30", "rpm = true", 'fleet.toml:6: provider "groq": rpm must be a whole number'),
        ("rpm = 30", 'rpm = "30"', 'fleet.toml:6: provider "groq": rpm must be a whole number'),
        ("rpm = 30", "rpm = 30.0", 'fleet.toml:6: provider "groq": rpm must be a whole number'),
        ("rpm = 30", "rpm = " + "9" * 400, "fleet.toml:6: "),
        ("rpm = 30", "rpm = " + "9" * 5000, "fleet.toml:6: not TOML: a number of too many digits"),
        ("rpm = 30", "rpm = 0x" + "f" * 5000, 'fleet.toml:6: provider "groq": rpm must be between'),
        ("rpm = 30", "rpm = " + "[" * 5000, "fleet.toml:6: not TOML: brackets nested too deep"),
        ("rpm = 30", "rpm = 30\nrpm = 31", "fleet.toml:7: not TOML at column 9: Cannot overwrite a value"),
        ("rpm = 30", "rpm = ", "fleet.toml:6: not TOML"),
        ("rpm = 30", "rpm = 3\0", "fleet.toml:6: not TOML"),
        ("timeout_s = 12.5", "timeout_s = 0.5", "fleet.toml:12: "),
        ("timeout_s = 12.5", "timeout_s = nan", 'fleet.toml:12: provider "groq": timeout_s must be a finite number'),
        ("quality = 0.6", "quality = 1.01", 'fleet.toml:23: provider "groq", model "llama-3.1-8b-instant": quality m'),
        ("quality = 0.6", "qualty = 1", 'model "llama-3.1-8b-instant": unknown key "qualty"; did you mean "quality"?'),
        ("quality = 0.6", "timeout_s = 1", 'unknown key "timeout_s"; it belongs into the [[provider]]'),
        ("input_price = 0.05", "input_price = -0.01", "fleet.toml:20: "),
        ("input_price = 0.05", "input_price = inf", "input_price must be a finite number"),
        ("input_price = 0.05", "input_price = 1e99999999999999999999", "fleet.toml:20: "),
        ("input_price = 0.05", "input_price = 0.0000001", "input_price must have at most six decimals"),
        ("input_price = 0.05\n", "", "input_price and output_price stand together: state both (0 where it is free)"),
        ("input_price = 0.05\noutput_price", "cached_input_price", "cached_input_price stands beside input_price"),
        ('tier = "cheap"', 'tier = "cheep"', 'must be one of cheap, standard, complex; did you mean "cheap"?'),
        ('tier = "cheap"', 'tier = "private"', "set local = true on its provider"),
        ('tier = "cheap"', "tier = []", "fleet.toml:16: "),
        (
            'family = "llama-3.1-8b"',
            "",
            'fleet.toml:14: provider "groq", model "llama-3.1-8b-instant": key "family" is',
        ),
        ("max_output = 8192", "max_output = 131073", "max_output is larger than context_window"),
        ('["json", "code"]', '"json"', "fleet.toml:22: "),
        ('["json", "code"]', '[\n"json",\n1,\n]', "capabilities must be a string"),
        ('protocol = "openai"', 'protocol = "gemnii"', 'did you mean "gemini"?'),
        ('protocol = "openai"', 'protocol = "opnai"', 'did you mean "openai"?'),
        ("Europe/Berlin", "Europe/Berlni", 'quota_reset must be an IANA time zone; did you mean "Europe/Berlin"?'),
        ("Europe/Berlin", "Europe", "must be an IANA time zone"),
        ("Europe/Berlin", "../../etc/passwd", "must be an IANA time zone"),
        ('name = "groq"', 'name = "Groq"', "fleet.toml:2: provider 1: name must be lower-case letters"),
        ('name = "groq"', 'name = "groq\\n"', "fleet.toml:2: provider 1: name must be lower-case letters"),
        ('name = "groq"', f'name = "{"g" * 41}"', "at most 40"),
        ('name = "groq"', "", 'fleet.toml:1: provider 1: key "name" is missing'),
        ('name = "home"', 'name = "groq"', 'fleet.toml:26: provider "groq": this name is already taken on line 2'),
        ('id = "llama', 'id = "llama 3', 'fleet.toml:15: provider "groq", model 1: id must be 1 to 200 printable'),
        ("https://api.groq.com", "http://api.groq.com", "plain http only for loopback and private addresses"),
        ("https://api.groq.com", "http://169.254.169.254", "plain http only for loopback and private addresses"),
        ("https://api.groq.com", "ftp://api.groq.com", "must begin with https://"),
        ("https://api.groq.com", "https://u:hunter2@api.groq.com", "must not hold a user or password"),
        ("/openai/v1", "/openai/v1?key=hunter2", "must not have a query string"),
        ("https://api.groq.com", "https://[::1", "base_url is not a URL"),
        ("https://api.groq.com", "https://a:99999", "base_url is not a URL"),
        ("https://api.groq.com", "https://api.groq.com ", "without spaces"),
        ("[[provider]]", "[[providers]]\n[[provider]]", 'fleet.toml:1: unknown key "providers"; did you mean "provid'),
    ],
)
def test_what_is_wrong_is_named_with_its_line(old: str, new: str, says: str) -> None:
    message = complaint(swap(old, new))
    assert says in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "fleet.toml:1: there is no [[provider]] in this file"),
        ("# nothing\n", "fleet.toml:1: there is no [[provider]]"),
        ("provider = []", "fleet.toml:1: there is no [[provider]]"),
        ("\n\n[provider]\nname = 'x'\n", "fleet.toml:3: write [[provider]], with two brackets"),
        ("\n[[provider.model]]\nid = 'x'\n", "fleet.toml:2: write [[provider]], with two brackets"),
        ("\nprovider = 3", "fleet.toml:2: there is no [[provider]]"),
        ("\nprovider = [3]", "fleet.toml:2: provider 1: must be"),
        (b"a = 1\nb = '\xff'\n", "fleet.toml:2: this is not UTF-8 text"),
        (GOOD.encode("utf-16"), "fleet.toml:1: this is not UTF-8 text"),
        (b"#" * (LARGEST_BYTES + 1), "fleet.toml:1: larger than 5 MB"),
        ("\na = '''\n\n", "fleet.toml:2: not TOML: "),
    ],
)
def test_a_file_that_is_no_fleet(content: str | bytes, says: str) -> None:
    assert complaint(content).startswith(says)


def test_a_tier_may_have_a_mode_of_balancing() -> None:
    assert read(GOOD).balance == {}
    table = '[balance]\ncheap = "weighted"\nprivate = "least-busy"\n'
    assert read(table + GOOD).balance == {"cheap": "weighted", "private": "least-busy"}


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ('[balance]\ncheap = "wieghted"', "fleet.toml:2: balance: cheap must be one of soonest-free, round-robin"),
        ('[balance]\ncheap = "wieghted"', 'did you mean "weighted"?'),
        ('[balance]\n\nchaep = "cost"', 'fleet.toml:3: balance: unknown key "chaep"; did you mean "cheap"?'),
        ("[balance]\ncheap = 3", "fleet.toml:2: balance: cheap must be one of"),
        ('[balance]\ncheap = ["cost"]', "fleet.toml:2: balance: cheap must be one of"),
        ('[balance]\ncheap = "sk-hunter2hunter2"', "balance: cheap must be one of"),
        ('balance = "cost"', "fleet.toml:1: write [balance], a table"),
        ('[[balance]]\ncheap = "cost"', "fleet.toml:1: write [balance], a table"),
        ('[balanse]\ncheap = "cost"', 'fleet.toml:1: unknown key "balanse"; did you mean "balance"?'),
    ],
)
def test_what_is_wrong_with_the_balance_is_named_with_its_line(table: str, says: str) -> None:
    message = complaint(table + "\n" + GOOD)
    assert says in message and "hunter2" not in message


def test_a_model_may_stand_once_at_a_provider_and_again_at_another() -> None:
    twice = GOOD.replace("qwen3:8b", "llama-3.1-8b-instant")
    assert len(read(twice).deployments) == 2
    second = "\n[[provider.model]]\n" + twice.split("[[provider.model]]\n")[2]
    assert complaint(twice + second) == (
        'fleet.toml:41: provider "home", model "llama-3.1-8b-instant": this id already stands on line 32'
    )


def test_all_problems_come_at_once_in_the_order_of_the_file() -> None:
    broken = GOOD.replace("rpm =", "rmp =").replace("tier", "teir").replace("quality = 0.6", "quality = 6")
    lines = [int(line.split(":")[1]) for line in complaint(broken).splitlines()]
    assert lines == sorted(lines) and {6, 16, 23, 33, 38} <= set(lines)


def test_beyond_twenty_problems_are_counted() -> None:
    lines = complaint(GOOD + "".join(f"bad{n} = 1\n" for n in range(25))).splitlines()
    assert len(lines) == 21 and lines[-1] == "… and 5 more"


@pytest.mark.parametrize(
    "key",
    ["sk-proj-abcdef0123456789", "gsk_AbCdEf0123456789", "AKIAIOSFODNN7EXAMPLE", "DEADBEEF0123456789ABCDEF"],
)
def test_a_pasted_key_is_refused_and_never_repeated(key: str) -> None:
    places = [swap("GROQ_API_KEY", key), swap("rpm = 30", f'"{key}" = 1')]
    places += [swap("rpm = 30", f'api_key = "{key}"'), swap('protocol = "openai"', f'protocol = "{key}"')]
    places += [swap('name = "groq"', f'name = "{key}!"'), swap('api_key_env = "GROQ_', f'api_key_file = "\\n{key}')]
    for place in places:
        message = complaint(place)
        assert key not in message
    assert 'unknown key "api_key"; did you mean "api_key_' in complaint(places[2])


def test_a_key_and_a_key_file_are_alternatives() -> None:
    assert "are alternatives" in complaint(swap("rpm = 30", 'api_key_file = "groq.key"'))


def test_missing_files_and_directories(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="there is no such file"):
        load(tmp_path / "none.toml")
    with pytest.raises(FleetError, match="this is a directory"):
        load(tmp_path)
    with pytest.raises(FleetError, match="cannot be read"):
        load(Path("a\0b"))


def test_rows_can_be_made_without_a_file_and_cannot_be_changed() -> None:
    prices = {"input_price": Decimal("0.05"), "output_price": 0.08}
    model = ModelRow(id="m", tier="cheap", family="m", context_window=10, max_output=10, **prices)
    assert model.input_price == Decimal("0.05") and model.stated_price == Price(50_000, 80_000)
    row = ProviderRow(name="a", protocol="openai", base_url="http://127.0.0.1:1/a/v1", model=(model,))
    with pytest.raises(ValidationError):
        row.name = "b"


def test_every_protocol_a_row_may_name_has_a_dialect() -> None:
    assert sorted(PROTOCOLS) == sorted(DIALECTS)
    for protocol in PROTOCOLS:
        assert read(swap('protocol = "openai"', f'protocol = "{protocol}"')).providers[0].protocol == protocol


def test_lines_are_found_through_strings_comments_and_inline_tables() -> None:
    text = '''\
# [[provider]]
note = """
[[provider]]
rpm = 1
""" # ]
[[ provider ]] # first
"name" = 'a#b' # c
limits.deep.x = 1
list = [ # [
  "]", """
]""",
]
model = [
  { id = "one" },
  { id = "two" },
]
[provider.extra]
k = 1
[[provider]]
name = "b"
  [["provider".'model']]
  id = "x"
'''
    tomllib.loads(text)
    lines = Lines(text)
    expected = {
        ("note",): 2,
        ("provider", 0): 6,
        ("provider", 0, "name"): 7,
        ("provider", 0, "limits"): 8,
        ("provider", 0, "limits", "deep", "x"): 8,
        ("provider", 0, "list"): 9,
        ("provider", 0, "model", 1, "id"): 13,
        ("provider", 0, "extra", "k"): 18,
        ("provider", 1, "name"): 20,
        ("provider", 1, "model", 0): 21,
        ("provider", 1, "model", 0, "id"): 22,
        ("provider", 1, "model", 0, "tier"): 21,
        ("nowhere",): 1,
    }
    assert {place: lines.find(place) for place in expected} == expected


# --- a running process -------------------------------------------------------------------------------------------


def test_a_running_process_follows_the_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text(GOOD)
    file = FleetFile(path)
    first = file.current()
    assert file.current() is first

    path.write_text(GOOD.replace('"home"', '"home-2"'))
    assert [row.name for row in file.current().providers] == ["groq", "home-2"]

    good = file.current()
    with caplog.at_level(logging.ERROR):
        path.write_text(GOOD.replace("rpm", "rmp"))
        assert file.current() is good and file.current() is good
        assert len(caplog.records) == 1 and "fleet.toml:6:" in caplog.text
        path.unlink()
        assert file.current() is good and file.current() is good
        assert len(caplog.records) == 2

    replacement = tmp_path / "next.toml"
    replacement.write_text(GOOD.replace('"home"', '"home-3"'))
    replacement.rename(path)
    assert file.current().provider("home-3")


def test_a_file_that_never_was_good_is_an_error_each_time(tmp_path: Path) -> None:
    file = FleetFile(tmp_path / "fleet.toml")
    for _ in range(2):
        with pytest.raises(FleetError):
            file.current()
    (tmp_path / "fleet.toml").write_text(GOOD)
    assert file.current().deployments


def first_key(row: ProviderRow) -> str | None:
    return next((key.key for key in secrets.api_keys(row)), None)


# --- keys --------------------------------------------------------------------------------------------------------


def test_keys_are_read_at_the_time_of_the_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = swap('api_key_env = "GROQ_API_KEY"', 'api_key_file = "keys/groq"')
    path = tmp_path / "fleet.toml"
    path.write_text(text)
    row = load(path).provider("groq")
    key_file = tmp_path / "keys" / "groq"
    assert first_key(row) is None
    assert secrets.missing([row]) == {"groq": f"put the key, on one line, into the file {key_file}"}
    key_file.parent.mkdir()
    for content, key in [
        (b" s3cret \n", "s3cret"),
        (b"n3xt", "n3xt"),
        (b" \n", None),
        (b"a\nb", None),
        (b"\xff", None),
    ]:
        key_file.write_bytes(content)
        assert first_key(row) == key
    key_file.write_bytes(b"x" * 100_000)
    assert first_key(row) is None

    row = read(GOOD).provider("groq")
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    assert secrets.missing(read(GOOD).providers) == {"groq": "set the environment variable GROQ_API_KEY"}
    monkeypatch.setenv("GROQ_API_KEY", " s3cret\n")
    assert first_key(row) == "s3cret"
    assert secrets.missing(read(GOOD).providers) == {}
    assert "s3cret" not in repr(row)


# --- malformed files ---------------------------------------------------------------------------------------------


def judge(raw: bytes) -> bool:
    """Does it load? Otherwise it must be refused properly: nothing but ``FleetError``, every line with its place."""
    try:
        fleet = parse(raw, FILE)
    except FleetError as error:
        total = raw.count(b"\n") + 1
        for line in str(error).splitlines():
            place = re.match(r"fleet\.toml:(\d+): \S", line)
            assert place or line.startswith("… and "), line
            assert not place or 1 <= int(place[1]) <= total, line
        return False
    assert fleet.deployments
    return True


VALUES = [
    "0", "-1", "1e400", "nan", "-inf", "9" * 5000, "0x" + "f" * 4000, '""', "[]", "[[]]", "{}", "{a.b=1}", "true",
    "1979-05-27T07:32:00Z", "[{}, {id=1}]", '"""\n\n"""', "'\\'", '"\\ud800"', "1__0", "[" * 3000,
    "1e9999999999999999999",
]  # fmt: skip


def mutate(rng: random.Random, raw: bytes) -> bytes:
    lines = raw.decode("utf-8", "surrogateescape").split("\n")
    at = rng.randrange(len(lines))
    key, _, _ = lines[at].partition(" = ")
    match rng.randrange(9):
        case 0:
            pos = rng.randrange(len(raw))
            return raw[:pos] + bytes([rng.randrange(256)]) + raw[pos + 1 :]
        case 1:
            return raw[: rng.randrange(len(raw))]
        case 2:
            pos = rng.randrange(len(raw))
            return raw[:pos] + b"\0" + raw[pos:]
        case 3 | 4:
            lines[at] = f"{key} = {rng.choice(VALUES)}"
        case 5:
            lines[at] = key[:1] + key[2:] + lines[at][len(key) :]
        case 6:
            lines.insert(rng.randrange(len(lines)), lines[at])
        case 7:
            del lines[at]
        case 8:
            lines.insert(
                at, rng.choice(["[provider]", "[[provider]]", "[[provider.model]]", "[a.b]", "[[", "provider.x=1"])
            )
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def test_two_hundred_malformed_files_are_refused_and_nothing_else() -> None:
    rng = random.Random(7)
    refused = 0
    while refused < 200:
        raw = GOOD.encode()
        for _ in range(rng.randint(1, 4)):
            raw = mutate(rng, raw) or b"\n"
        refused += not judge(raw)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b"\xef\xbb\xbf")
@example(b"provider = [" + b"{x = [" * 900)
@example(b"a" + b".a" * 3000 + b" = 1")
def test_any_bytes_at_all(raw: bytes) -> None:
    assert not judge(raw)


LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=4)
TREE = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
)
KEYS = [*(f.alias or n for n, f in ProviderRow.model_fields.items()), *ModelRow.model_fields]


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=6), TREE, max_size=8))
def test_any_value_in_a_row_is_a_validation_error_at_worst(data: dict[str, object]) -> None:
    whole = tomllib.loads(GOOD)["provider"][0]
    for row in (data, {**whole, **data}, {**whole, "model": [{**whole["model"][0], **data}]}):
        try:
            assert ProviderRow.model_validate(row).models
        except ValidationError as error:
            assert error.error_count() >= 1
