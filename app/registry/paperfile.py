"""``newspaper.toml``: TOML in, a frozen ``Paper`` out, or every problem with its line.

As in a fleet file, an error repeats no value but names of desks and feeds.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from app.core.errors import PaperError
from app.newspaper.edition import KINDS
from app.newspaper.paper import Paper
from app.registry.lines import Lines, Place
from app.registry.tomlfile import FileKind, LastGood, Problem, secretive, unknown

FILE = FileKind(
    what="newspaper file",
    error=PaperError,
    hint="newspaper.example.toml shows every key",
    absent_hint="set SWITCHYARD_NEWSPAPER to a newspaper file, or copy newspaper.example.toml to newspaper.toml",
)

_PLAIN = {
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "time_type": 'must be a time of day, such as "05:30"',
    "string_too_short": "must not be empty",
}
_PATTERNS = {
    "name": "must be lower-case letters, digits and hyphens, at most 40, not beginning with a hyphen",
    "desk": "must be the name of a desk",
    "language": "must be a language's code, such as en",
    "languages": "must be codes of languages, such as en",
    "url": "must begin with https:// or http://, and hold no spaces or quotes",
}
_ENV_NAME = "must be the NAME of an environment variable, never what it holds"
_TIME = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9])?")


class PaperFile:
    """A newspaper file that may change while a process runs. Safe to share between threads. See the warning of
    ``LastGood``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: LastGood[Paper] = LastGood(path, FILE, load)

    @property
    def base(self) -> Path:
        """Where the file's relative paths begin."""
        return self.path.absolute().parent

    def current(self) -> Paper:
        """The paper as it stands in the file now, or the last good one where the file is broken or gone.

        Costs one ``stat``. Broken content is logged once for each change. Raises ``PaperError`` as long as there has
        been no good paper at all.
        """
        return self._file.current()


def load(path: Path) -> Paper:
    """Read a newspaper file. Raises ``PaperError``: up to ``SHOWN`` problems, one a line, ``file:line: what``."""
    return parse(FILE.read(path), path)


def parse(raw: bytes, path: Path) -> Paper:
    """As ``load``, for bytes already read. Errors name ``path``."""
    text = FILE.text(raw, path)
    document = FILE.document(text, path)
    lines = Lines(text)
    # Disagreements between tables, and names of variables that are none: the model would refuse the file for the
    # first of them as a whole; here each has its line.
    problems = [*_disagreements(document, lines), *_keys(document, lines)]
    try:
        paper = Paper.model_validate(_prepared(document), strict=True)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        problems += [
            (lines.find(tuple(detail["loc"])), _sentence(document, detail))
            for detail in details
            if (detail["loc"] or not problems) and not _echo(document, detail)
        ]
    if problems:
        raise FILE.error_of(path, sorted(set(problems)))
    return paper


def _echo(document: Mapping[str, Any], detail: ErrorDetails) -> bool:
    """Tables of which none is valid count as none there; each of them is named already."""
    return detail["type"] == "too_short" and any(_tables(document, str(detail["loc"][0])))


def _prepared(value: Any, place: Place = ()) -> Any:
    """As the strict model takes it: arrays are tuples, a time of day may be written as a string, and a kind of edition
    that there is none of is ``false``: TOML has no null."""
    if value is False and len(place) == 1 and place[0] in KINDS:
        return None
    if isinstance(value, dict):
        return {key: _prepared(each, (*place, key)) for key, each in value.items()}
    if isinstance(value, list):
        return tuple(_prepared(each, (*place, at)) for at, each in enumerate(value))
    if isinstance(value, str) and len(place) == 2 and place[0] in KINDS and place[1] == "at" and _TIME.fullmatch(value):
        return dt.time.fromisoformat(value)
    return value


def _disagreements(document: Mapping[str, Any], lines: Lines) -> Iterator[Problem]:
    named: dict[str, dict[str, int]] = {"desk": {}, "feed": {}}
    for what, seen in named.items():
        for at, table in _tables(document, what):
            name, line = table.get("name"), lines.find((what, at, "name"))
            if isinstance(name, str) and name in seen:
                yield line, f"{_label(document, (what, at))}: this name is already taken on line {seen[name]}"
            elif isinstance(name, str):
                seen[name] = line
    for at, table in _tables(document, "feed"):
        if isinstance(table.get("desk"), str) and table["desk"] not in named["desk"]:
            there = ", ".join(name for name in named["desk"] if re.fullmatch(r"[a-z0-9-]{1,40}", name))
            where = f"; there are {there}" if there else ""
            yield (
                lines.find(("feed", at, "desk")),
                f"{_label(document, ('feed', at))}: desk names a desk that is not there{where}",
            )
    for kind in ("weekly", "growth"):
        if isinstance(document.get(kind), dict) and "on" not in document[kind]:
            yield lines.find((kind,)), f'{kind}: key "on" is missing, the day it appears: on = "sunday"'
    if isinstance(document.get("daily"), dict) and "on" in document["daily"]:
        yield lines.find(("daily", "on")), "daily: a daily edition appears every day: leave on out"


def _keys(document: Mapping[str, Any], lines: Lines) -> Iterator[Problem]:
    """Keys and passwords that stand where the name of a variable should, and addresses with a password in them."""
    publish = document.get("publish")
    for name, table in (publish if isinstance(publish, dict) else {}).items():
        for key, value in table.items() if isinstance(table, dict) else ():
            if key.endswith("_env") and isinstance(value, str) and "_" not in value and secretive(value):
                yield lines.find(("publish", name, key)), f"publish.{name}: {key} {_ENV_NAME}"
    for at, table in _tables(document, "feed"):
        if isinstance(table.get("url"), str) and re.match(r"[^/?#]*//[^/?#]*@", table["url"]):
            yield lines.find(("feed", at, "url")), f"{_label(document, ('feed', at))}: url must hold no password"


def _tables(document: Mapping[str, Any], what: str) -> Iterator[tuple[int, dict[str, Any]]]:
    rows = document.get(what)
    for at, row in enumerate(rows if isinstance(rows, list) else ()):
        if isinstance(row, dict):
            yield at, row


def _sentence(document: Mapping[str, Any], detail: ErrorDetails) -> str:
    """One problem, in words of ours."""
    loc, kind = detail["loc"], detail["type"]
    label = _label(document, loc[:-1])
    key = next((str(part) for part in reversed(loc) if isinstance(part, str)), "")
    if not loc or isinstance(loc[-1], int):
        label = _label(document, loc if len(loc) == 2 and loc[0] in ("desk", "feed") else loc[:-2])
        key = "" if len(loc) == 2 and loc[0] in ("desk", "feed") else key
    what = f"{label}: " if label else ""
    if kind == "extra_forbidden":
        return what + unknown(key, _known(loc[:-1]))
    if kind == "missing":
        return f"{what}{_missing(key)}"
    why = _why(key, detail)
    joint = " " if why.startswith(("must ", "is ")) else ": "
    return f"{what}{key}{joint}{why}" if key else f"{what}{why}"


def _why(key: str, detail: ErrorDetails) -> str:
    kind = detail["type"]
    if kind == "string_pattern_mismatch":
        return _ENV_NAME if key.endswith("_env") else _PATTERNS.get(key, "must be one line of plain text")
    if kind == "value_error":
        said = str(detail.get("ctx", {}).get("error", "is not possible"))
        return re.sub(r"'([^']*)'", lambda found: "(not shown)" if secretive(found[1]) else found[0], said)
    if kind in ("tuple_type", "model_type"):
        several = key in ("desk", "feed")
        if kind == "tuple_type":
            return f"must be an array of tables: [[{key}]]" if several else "must be an array: [ ... ]"
        return "must be a table"
    if kind == "too_short" and key in ("desk", "feed"):
        return f"must not be empty: name one with [[{key}]]"
    return _PLAIN.get(kind, detail["msg"].removeprefix("Input ").removeprefix("Value ").replace("should", "must"))


def _missing(key: str) -> str:
    return f"there is no [[{key}]] in this file" if key in ("desk", "feed") else f'key "{key}" is missing'


def _label(document: Mapping[str, Any], loc: Place) -> str:
    """``desk "world"``, ``publish.mail``; empty for the file itself."""
    if len(loc) >= 2 and loc[0] in ("desk", "feed") and isinstance(loc[1], int):
        name = next((row.get("name") for at, row in _tables(document, str(loc[0])) if at == loc[1]), None)
        showable = isinstance(name, str) and re.fullmatch(r"[\w .,&'()-]{1,60}", name) and not secretive(name)
        return f'{loc[0]} "{name}"' if showable else f"{loc[0]} {loc[1] + 1}"
    return ".".join(str(part) for part in loc if isinstance(part, str))


def _known(loc: Place) -> tuple[str, ...]:
    """The keys of the table at a place."""
    table: type[BaseModel] = Paper
    for part in loc:
        if isinstance(part, str):
            table = _model_in(table.model_fields[part].annotation) or table
    return tuple(table.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model in ``Model``, ``Model | None``, ``tuple[Model, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for each in get_args(annotation) if (found := _model_in(each)) is not None), None)
