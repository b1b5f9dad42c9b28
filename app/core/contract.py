"""The output contract: from a model's text to an answer, or an abstention that says why.

An answer that cannot be read is an abstention, never a vote (promise 10). Nothing here raises for what a model wrote.

How a label is looked for, first hit wins: the whole text; the whole text without its wrapping (fences, quotes,
bold, a final stop); JSON; the last statement ("The answer is (C)", "Label: spam", ``\\boxed{C}``, a last line that is
a label); a letter that opens the text; the one label that short prose mentions.

Warning: prose is read by pattern. A label that is also an everyday word counts only in a statement or in short prose.
"""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from app.core.json_text import json_values
from app.core.reasoning import split_reasoning
from app.core.schema import violation

SHORT_PROSE_WORDS = 30
"""Longer prose than this mentions labels for many reasons."""
_LONGEST_READ = 200_000
"""Characters of a text that are read, from its end: that is where models answer."""

_LEAK = ("reasoning_leak",)
_EMPTY = "empty answer"
_AMBIGUOUS = "\0"
_OUTSIDE = "answer is not one of the labels"
_SEVERAL = "several labels and no statement of one"
_NO_STATEMENT = "no statement of a label"

_FENCE = re.compile(r"```[\w+-]*[ \t]*\n?(.*?)(?:```|\Z)", re.DOTALL)
_WRAPPING = " \t\r\n\"'`*_#.,;:!()[]{}<>“”‘’«»„‹›。、"
_SEPARATORS = re.compile(r"[\s_\-\u2010-\u2015]+")
_LABEL_KEYS = ("label", "answer", "category", "class", "classification", "intent", "prediction", "choice", "result")
_FILLER = (
    r"(?:[\s*_\"'`“”‘’«»(\[{$:>]|\\(?:boxed|text|mathrm|textbf)\b|(?:the|an?|option|choice|category|class|label|answer|letter"
    r"|intent|most|likely|probably|clearly|definitely|therefore|simply|indeed|also|as|is|be)\b(?=[\s*_\"'`“:(])){0,40}"
)
_STATEMENT = re.compile(
    r"(?:\b(?:answer|label|category|class|classification|intent|verdict|prediction|choice|option|sentiment|topic|decision)\b"
    r"[*_\"'`”]*(?:\s+(?:to|for|of|that|here|would|should|must|option|choice|label|category|which)\b[^.:\n=]{0,60}?)??"
    r"\s*(?:[*_\"']*[:=→]|->|=>|\b(?:is|are|was|be)\b)"
    r"|\b(?:classif(?:y|ied)|categori[sz]ed?|labell?ed)\b[^.:\n]{0,60}?\bas\b|\b(?:belongs?\s+to|falls?\s+(?:under|into))\b"
    r"|\\boxed\b)",
    re.IGNORECASE,
)
_QUOTED = re.compile(r'"[^"\n]{0,2000}"|“[^”\n]{0,2000}”|«[^»\n]{0,2000}»')
_QUOTE_LINE = re.compile(r"^\s*>.*$", re.MULTILINE)
_DENIAL = re.compile(
    r"(?:\bnot|n't|\bnever|\bneither|\bnor|\brather\s+than|\binstead\s+of|\bunlike|\bnon)[\s_-]*(?:\w+\s+){0,3}$",
    re.IGNORECASE,
)
_END_OF_LETTER = r"(?=\s*(?:[)\].,;:!}\"'`*\n$]|\Z|\s(?:because|since|as|for|and|which|due|\(|-|–|—)))"


@dataclass(frozen=True, slots=True)
class Parsed:
    """``answer`` is None for an abstention, and ``reason`` says why; it is one of few words, safe to group by."""

    answer: str | None
    flags: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Labels:
    exact: dict[str, Parsed]
    folded: dict[str, str]
    at_start: re.Pattern[str]
    """A label at the start of a text, the longest first, and no part of a longer word."""
    mention: re.Pattern[str] | None
    letters: frozenset[str]


def fold(text: str) -> str:
    """Text for comparison: compatibility forms, case, separators and wrapping made alike."""
    return _SEPARATORS.sub(" ", unicodedata.normalize("NFKC", text).casefold().strip(_WRAPPING)).strip(_WRAPPING)


@lru_cache(maxsize=256)
def _compile(labels: tuple[str, ...]) -> _Labels:
    folded: dict[str, str] = {}
    for label in labels:
        key = fold(label)
        # Labels alike once folded ("C" and "C#") are told apart by their exact spelling only.
        folded[key] = label if folded.get(key, label) == label else _AMBIGUOUS
    folded = {key: label for key, label in folded.items() if key and label is not _AMBIGUOUS}
    letters = frozenset(label for label in labels if len(label) == 1 and label.isalpha())
    words = sorted((label for label in labels if label not in letters and fold(label)), key=len, reverse=True)
    any_word = "|".join(_loose(label) for label in words) or "(?!)"
    options = [f"(?P<word>(?:{any_word})(?!-?\\w))"]
    if letters:
        single = "".join(sorted(letters))
        options.append(f"(?P<letter>[{single}])(?![\\w'’])")
        options.append(f"(?P<small>[{single.swapcase()}]){_END_OF_LETTER}")
    return _Labels(
        {label: Parsed(label) for label in labels if label.strip()},
        folded,
        re.compile("|".join(options)),
        re.compile(f"(?<!\\w)(?<!\\w-)(?:{any_word})(?!-?\\w)") if words else None,
        letters,
    )


def _loose(label: str) -> str:
    """A pattern for one label: any case, any separator between its words."""
    plain = unicodedata.normalize("NFKC", label).strip()
    words = r"[\s_\-]+".join(f"(?i:{re.escape(word)})" for word in _SEPARATORS.split(plain) if word)
    return (r"[_\-]*" if plain[0] in "_-" else "") + words + (r"[_\-]*" if plain[-1] in "_-" else "")


def classify(text: str, labels: tuple[str, ...]) -> Parsed:
    """The one of ``labels`` that ``text`` gives, spelled as in ``labels``; else an abstention."""
    known = _compile(labels)
    hit = known.exact.get(text)
    if hit is not None:
        return hit
    text, _, leaked = split_reasoning(text)
    flags = _LEAK if leaked else ()
    text = unicodedata.normalize("NFKC", text[-_LONGEST_READ:]).strip()
    if not text:
        return Parsed(None, flags, _EMPTY)
    label, reason = _find_label(text, known)
    return Parsed(label, flags, reason)


def _find_label(text: str, known: _Labels) -> tuple[str | None, str]:
    whole = known.folded.get(fold(text))
    if whole is not None:
        return whole, ""
    for fenced in _FENCE.findall(text) if "```" in text else ():
        inside = known.folded.get(fold(fenced))
        if inside is not None:
            return inside, ""
    named = _label_in_json(text, known)
    if named is not None:
        return named
    text = _without_quotations(text)
    stated, outside = _last_statement(text, known)
    if stated is not None:
        return stated, ""
    opening = _opening_letter(text, known)
    if opening is not None:
        return opening, ""
    return (None, _OUTSIDE) if outside else _only_mention(text, known)


def _label_in_json(text: str, known: _Labels) -> tuple[str | None, str] | None:
    """None where there is no JSON with a label's place in it; the last object counts."""
    if "{" not in text and "[" not in text:
        return None
    found: tuple[str | None, str] | None = None
    for value in json_values(text, "{[", _DECODER, _MOST_STARTS):
        inner = _only(value)
        if isinstance(inner, dict):
            lower = {key.casefold(): item for key, item in inner.items()}
            named = next((lower[key] for key in _LABEL_KEYS if key in lower), None)
            inner = _only(next(iter(lower.values())) if named is None and len(lower) == 1 else named)
        if isinstance(inner, str):
            label = known.folded.get(fold(inner))
            found = (label, "" if label is not None else _OUTSIDE)
    return found


def _only(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _without_quotations(text: str) -> str:
    """Statements that stand in quotation marks or behind ``>`` are somebody else's; they are blanked in place."""
    if text[0] in '"“' and text.find(text[0], 1) in (-1, len(text) - 1):
        text = text.strip('"“”')
    return _QUOTED.sub(
        lambda found: " " * len(found[0]) if _STATEMENT.search(found[0]) else found[0],
        _QUOTE_LINE.sub(lambda found: " " * len(found[0]), text),
    )


def _last_statement(text: str, known: _Labels) -> tuple[str | None, bool]:
    """(label of the last statement that names one, whether a later short statement named something else)."""
    last: tuple[int, str] | None = None
    outside = False
    for match in _STATEMENT.finditer(text):
        label = _label_at(text, match.end(), known)
        if label is not None:
            last, outside = (match.start(), label), False
        else:
            outside = outside or last is None
    line_start = text.rstrip().rfind("\n") + 1
    if line_start > 0 and (last is None or line_start > last[0]):
        final = known.folded.get(fold(text[line_start:]))
        if final is not None and not _lists_labels(text[:line_start], final, known):
            return final, False
    return (last[1], False) if last else (None, outside)


_FILLER_AT = re.compile(_FILLER, re.IGNORECASE)


def _label_at(text: str, at: int, known: _Labels) -> str | None:
    """The label that begins at ``at``, after wrapping and filler words. The filler may itself begin a label."""
    filler = _FILLER_AT.match(text, at)
    end = filler.end() if filler else at
    between = text[at:end]
    for start in (end - len(between.lstrip(_WRAPPING + "$\\")), end):
        found = known.at_start.match(text, start)
        if found is not None and (found.lastgroup != "letter" or _is_letter_answer(found[0], text, found.end())):
            return known.folded.get(fold(found[0]))
    return None


def _is_letter_answer(letter: str, text: str, end: int) -> bool:
    """ "I think" and "A function" open with a letter that is a word."""
    if letter not in "AI":
        return True
    rest = text[end : end + 24]
    return re.match(r"\s+(?!because|since|as\b|for\b|and\b|which|due|with\b)[a-z]", rest) is None


def _lists_labels(before: str, final: str, known: _Labels) -> bool:
    return any(known.folded.get(fold(line)) not in (None, final) for line in before.splitlines())


def _opening_letter(text: str, known: _Labels) -> str | None:
    """``C. Because …``, ``(C) …`` or ``C) …``."""
    if not known.letters:
        return None
    found = re.match(r"[*_\"'`]*(?:\(([A-Za-z])\)|([A-Za-z])[*_]*[.):](?=\s|\*|$))", text)
    letter = (found[1] or found[2]) if found else ""
    return letter if letter in known.letters else None


def _only_mention(text: str, known: _Labels) -> tuple[str | None, str]:
    if len(text.split()) > SHORT_PROSE_WORDS:
        return None, _NO_STATEMENT
    mentioned: set[str] = set()
    if known.mention is not None:
        for match in known.mention.finditer(text):
            label = known.folded.get(fold(match[0]))
            if label is not None and not _DENIAL.search(text[max(0, match.start() - 40) : match.start()]):
                mentioned.add(label)
    mentioned.update(found for found in re.findall(r"\(([A-Za-z])\)|\*\*([A-Za-z])\*\*", text) for found in found
                     if found in known.letters)  # fmt: skip
    if len(mentioned) == 1:
        return mentioned.pop(), ""
    return None, _SEVERAL if mentioned else _OUTSIDE


def extract(text: str, schema: dict[str, Any] | None) -> Parsed:
    """The JSON object in ``text`` in canonical form (keys sorted, no spaces), or an abstention.

    Of several objects the last one that keeps ``schema`` counts. The reason names the place of the first violation.
    """
    text, _, leaked = split_reasoning(text)
    flags = _LEAK if leaked else ()
    if not text.strip():
        return Parsed(None, flags, _EMPTY)
    best: str | None = None
    reason = "no JSON object in the answer"
    for value in json_values(text[-_LONGEST_READ:], "{", _DECODER, _MOST_STARTS):
        if not isinstance(value, dict):
            continue
        wrong = violation(value, schema) if schema else None
        if wrong is None:
            best = _canonical(value) or best
        else:
            reason = wrong
    return Parsed(best, flags, "" if best is not None else reason)


def generate(text: str) -> Parsed:
    """The text itself, without reasoning and outer white space; an abstention where nothing is left."""
    text, _, leaked = split_reasoning(text)
    flags = _LEAK if leaked else ()
    text = text.strip()
    return Parsed(text, flags) if text else Parsed(None, flags, _EMPTY)


def _canonical(value: dict[str, Any]) -> str | None:
    try:
        compact = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        compact.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which Postgres would refuse
        return json.dumps(value, sort_keys=True, separators=(",", ":"))
    except (ValueError, RecursionError):
        return None
    return compact


def _number(literal: str) -> int | float:
    """1.0 and 1 are one number (RFC 8785): two models that agree must not differ by a ".0"."""
    number = float(literal)
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _no_constant(name: str) -> None:
    raise ValueError(name)


_DECODER = json.JSONDecoder(parse_float=_number, parse_constant=_no_constant)
_MOST_STARTS = 64
