"""``newspaper.toml``: what it accepts, what it says when it refuses, and how a running process follows it."""

from __future__ import annotations

import datetime as dt
import logging
import random
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import PaperError
from app.newspaper.paper import Paper, Steps
from app.registry.paperfile import PaperFile, load, parse

ROOT = Path(__file__).parents[2]
LEAST = """\
title = "The Elm Courier"

[[desk]]
name = "town"
title = "Town"
description = "streets, bridges, buses"

[[feed]]
name = "The Bell"
path = "feeds/bell.xml"
"""


def said(text: str) -> list[str]:
    """The problems of a file, ``line: what``."""
    with pytest.raises(PaperError) as caught:
        parse(text.encode(), Path("n.toml"))
    assert caught.value.hint == "newspaper.example.toml shows every key"
    return [line.removeprefix("n.toml:") for line in str(caught.value).splitlines()]


def test_title_a_desk_and_a_feed_are_enough() -> None:
    paper = parse(LEAST.encode(), Path("n.toml"))
    assert (paper.title, paper.languages, paper.steps) == ("The Elm Courier", ("en",), Steps())
    assert paper.daily is not None
    assert paper.daily.at == dt.time(5, 0)


def test_the_example_loads_and_its_defaults_are_those_it_names() -> None:
    text = (ROOT / "newspaper.example.toml").read_text()
    paper = load(ROOT / "newspaper.example.toml")
    assert paper.weekly is not None
    assert paper.growth is not None
    # What stands behind "# key = value" before the first table is a default: taken out, nothing changes.
    before = text[: text.index("[daily]")]
    named = tomllib.loads("\n".join(re.findall(r"^# (\w+ = .*)$", before, re.MULTILINE)))
    assert named.pop("daily") is False
    assert set(named) == {"name", "style", "words", "stories", "front", "max_age_hours", "max_cost_usd"}
    for key, value in named.items():
        if key != "max_cost_usd":
            assert Paper.model_fields[key].default == value
    for name, step in Steps():
        assert re.search(rf"\b{name}\b[\w, ]*: {re.escape(step.strategy)}, {step.tier}\.", text)


def test_every_line_of_the_example_may_be_uncommented() -> None:
    text = (ROOT / "newspaper.example.toml").read_text().replace("# daily = false", "")
    paper = parse(re.sub(r"^# (?=\[|\w+ = )", "", text, flags=re.MULTILINE).encode(), Path("n.toml"))
    assert paper.publish.mail is not None
    assert paper.publish.webhook is not None
    assert paper.publish.bucket is not None
    assert paper.max_cost_usd == 0.5


@pytest.mark.parametrize("at", ['"05:30"', "05:30:00", '"05:30:00"'])
def test_a_time_of_day_is_a_string_or_a_time(at: str) -> None:
    daily = parse(f"{LEAST}[daily]\nat = {at}\n".encode(), Path("n.toml")).daily
    assert daily is not None
    assert daily.at == dt.time(5, 30)


@pytest.mark.parametrize("at", ["5", "5.5", '"5:30"', '"24:00"', '"05:30+02:00"', "true", "2026-11-20", '["05:30"]'])
def test_nothing_else_is_a_time_of_day(at: str) -> None:
    assert said(f"{LEAST}[daily]\nat = {at}\n") == ['12: daily: at must be a time of day, such as "05:30"']


def test_a_paper_may_have_no_daily_edition() -> None:
    assert parse(b"daily = false\n" + LEAST.encode(), Path("n.toml")).daily is None
    assert said(f"daily = true\n{LEAST}") == ["1: daily must be a table"]


@pytest.mark.parametrize(
    ("added", "problem"),
    [
        ("[weekly]\n", '11: weekly: key "on" is missing, the day it appears: on = "sunday"'),
        ('[daily]\non = "sunday"\n', "12: daily: a daily edition appears every day: leave on out"),
        ("[daily]\nminutes = 0\n", "12: daily: minutes must be greater than 0"),
        ("[daily]\nminutes = true\n", "12: daily: minutes must be a number"),
        ("[daily]\nminutes = inf\n", "12: daily: minutes must be a finite number"),
        ("[dialy]\n", '11: unknown key "dialy"; did you mean "daily"?'),
        ('[publish]\nfolder = ""\n', "12: publish: folder must not be empty"),
        ('[publish]\nformats = ["html", "pfd"]\n', "12: publish: formats must be 'html', 'markdown', 'pdf' or 'atom'"),
        ("[steps.sort]\npak = 3\n", '12: steps.sort: unknown key "pak"; did you mean "pack"?'),
        (
            '[steps.sort]\nstrategy = "majority-vot"\ntier = "cheap"\n',
            "12: steps.sort: strategy: there is no strategy 'majority-vot'",
        ),
        ('[[desk]]\nname = "town"\ntitle = "x"\ndescription = "x"\n', "12: desk \"town\": this name is already taken"),
        ('[[feed]]\nname = "x"\npath = "x"\ndesk = "tonw"\n', '14: feed "x": desk names a desk that is not'),
        ('[[feed]]\nname = "x"\n', '11: feed "x": a feed has one of url and path'),
        ('[[feed]]\nname = "x"\nurl = "file:///etc/passwd"\n', '11: feed "x": url must begin with https:// or http://'),
        ('[[feed]]\nname = "x"\nurl = "https://me:hunter2@h/"\n', '13: feed "x": url must hold no password'),
        ('[publish.mail]\nsmtp_env = "smtps://me:hunter2@h"\n', "12: publish.mail: smtp_env must be the NAME of"),
        ('[publish.bucket]\nsecret_key_env = "AKIA1234567890ABCDEF"\n', "12: publish.bucket: secret_key_env must be"),
        ("[feed.x]\n", None),
        ("title = 1\n", None),
    ],
)  # fmt: skip
def test_a_problem_is_named_with_its_line_and_the_nearest_known_word(added: str, problem: str | None) -> None:
    problems = said(LEAST + added)
    if problem is None:
        assert problems
    else:
        assert any(line.startswith(problem) for line in problems), problems
    assert "hunter2" not in "".join(problems)
    assert "AKIA" not in "".join(problems)


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", ['1: key "title" is missing', "1: there is no [[desk]] in", "1: there is no [[feed]] in"]),
        ("desk = []\nfeed = 3\ntitle = 'x'", ["1: desk must not be empty: name", "2: feed must be an array of tables"]),
        ("title = 'x", ["1: not TOML"]),
        ("\ufefftitle = \n", ["1: not TOML at column 9"]),
    ],
)  # fmt: skip
def test_a_file_that_is_no_newspaper_says_what_it_lacks(text: str, problems: list[str]) -> None:
    found = said(text)
    assert len(found) == len(problems)
    assert all(line.startswith(problem) for line, problem in zip(found, problems, strict=True)), found


def test_all_problems_are_named_at_once_in_the_order_of_the_file() -> None:
    found = said(
        LEAST.replace('title = "The Elm Courier"', 'titel = "x"\ntime_zone = "Mars/Phobos"\nwords = "180"')
        + "[daily]\nat = 5\n[publish]\nkeep = 0\n"
    )
    assert found == [
        '1: key "title" is missing',
        '1: unknown key "titel"; did you mean "title"?',
        "2: time_zone is no IANA time zone, such as Europe/Berlin",
        "3: words must be a whole number",
        '14: daily: at must be a time of day, such as "05:30"',
        "16: publish: keep must be greater than or equal to 1",
    ]


SECRET = "sk-proj-3f9aQ7hunter2"


@given(st.data())
def test_no_key_that_was_pasted_anywhere_is_repeated(data: st.DataObject) -> None:
    lines = (ROOT / "newspaper.example.toml").read_text().splitlines()
    places = [at for at, line in enumerate(lines) if re.match(r"\w+ = ", line)]
    at = data.draw(st.sampled_from(places))
    key, _, _ = lines[at].partition(" = ")
    where = data.draw(st.sampled_from(["value", "key", "array", "table"]))
    lines[at] = {
        "value": f'{key} = "{SECRET}"',
        "key": f"{SECRET} = 1",
        "array": f'{key} = ["{SECRET}"]',
        "table": f'{key} = {{ {SECRET} = "{SECRET}" }}',
    }[where]
    try:
        parse("\n".join(lines).encode(), Path("n.toml"))
    except PaperError as error:
        assert SECRET not in str(error)


def shuffled(seed: int) -> bytes:
    """The example with some lines doubled, dropped or exchanged."""
    rng = random.Random(seed)
    lines = (ROOT / "newspaper.example.toml").read_text().splitlines()
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(lines))
        lines[at : at + 1] = rng.choice([[], [lines[at]] * 2, [rng.choice(lines)], [lines[at].lstrip("# ")]])
    return "\n".join(lines).encode()


@given(st.binary(max_size=200) | st.integers(0, 2**32).map(shuffled))
def test_any_bytes_are_a_paper_or_a_list_of_problems(raw: bytes) -> None:
    try:
        parse(raw, Path("n.toml"))
    except PaperError as error:
        assert all(re.match(r"n\.toml:\d+: |… and \d+ more", line) for line in str(error).splitlines())


@pytest.mark.parametrize("name", ["missing.toml", ".", "nul\0"])
def test_a_path_that_holds_no_file_is_a_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(PaperError, match=r"no such file|is a directory|cannot be read"):
        load(tmp_path / name)


def test_the_last_good_paper_stays_in_force_and_the_fault_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "newspaper.toml"
    file = PaperFile(path)
    with pytest.raises(PaperError):
        file.current()
    path.write_text(LEAST)
    first = file.current()
    assert file.current() is first
    path.write_text(LEAST + "oops = 1\n")
    with caplog.at_level(logging.ERROR):
        assert [file.current(), file.current()] == [first, first]
    assert [record.message.count("newspaper file not taken over") for record in caplog.records] == [1]
    path.unlink()
    assert file.current() is first
    path.write_text(LEAST.replace("Elm", "Oak"))
    assert file.current().title == "The Oak Courier"
    assert file.base == tmp_path
