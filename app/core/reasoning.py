"""Split what a model thought from what it said.

Some servers leave the thinking in the answer's text: between tags (``<think>`` of DeepSeek R1 and Qwen 3, ``[THINK]``
of Magistral, ``◁think▷`` of Kimi, ``<|START_THINKING|>`` of Cohere, ``<|channel>thought`` of Gemma), with the opening
tag eaten by the chat template, cut before the closing tag, as raw channels of gpt-oss's harmony format
(cookbook.openai.com/articles/openai-harmony), whole or with the special tokens taken out (``analysis…final…``), or
behind a heading (Granite's "Here is my thought process:").

Warning: a text that speaks of such tags cannot be told from one that uses them in every case. Tags in quotes or code,
an opening tag within a line that nothing closes, and a closing tag between two words are taken as spoken of.
"""

from __future__ import annotations

import re

_NAMES = (
    r"(?:think|thinking|thought|thoughts|reasoning|reflection|seed:think|antml:thinking|antthinking|scratchpad"
    r"|inner_monologue)"
)
_TAG = re.compile(
    rf"(?P<open><{_NAMES}(?:\s[^<>\n]{{0,80}})?>|<\|(?:begin_of_thought|start_thinking|inner_prefix|think)\|>"
    r"|(?-i:\[THINK\])|◁think▷|<\|channel>[ \t]*(?:thought|analysis)\b|<unused94>(?:thought\b)?)"
    rf"|(?P<close></{_NAMES}>|<\|(?:end_of_thought|end_thinking|inner_suffix|/think)\|>|(?-i:\[/THINK\])|◁/think▷"
    r"|<channel\|>|<unused95>)",
    re.IGNORECASE,
)
_MARKED = re.compile(r"[<\[◁]")
_QUOTES = "`\"'“”‘’«»„"
_BESIDE_WORDS = " \t.,;:!?)"
_WRAPPED = re.compile(
    r"\s*(?:<(?P<name>answer|response)>(?P<plain>.*?)(?:</(?P=name)>\s*)?"
    r"|<\|(?:begin_of_solution|start_response)\|>(?P<special>.*?)(?:<\|(?:end_of_solution|end_response)\|>\s*)?)$",
    re.IGNORECASE | re.DOTALL,
)
_HARMONY = re.compile(r"<\|(?:channel|message)\|>|<\|start\|>assistant")
_FINAL = re.compile(
    r"(?:<\|start\|>assistant)?(?:<\|channel\|>\s*final|(?<=>assistant)final|(?<![^\s>])final)(?:\s*<\|constrain\|>\s*\w+|[^<]{0,40})<\|message\|>"
)
_CONTROL_TOKEN = re.compile(
    r"<\|(?:start|end|return|channel|message|call|constrain)\|>(?:assistant|analysis|commentary)?"
)
_BARE_HARMONY = re.compile(
    r"\s*(?:assistant)?(?:analysis|commentary)(?=[\sA-Z\"'(])(?P<thought>.*)assistantfinal", re.DOTALL
)
_BARE_FINAL = re.compile(r"\s*assistantfinal(?=\S)")
_HEADED = re.compile(
    r"[\s*_#]*(?:(?:internal\s)?(?:reasoning|thinking)(?:\sprocess)?|thought\sprocess|chain[\s-]of[\s-]thought"
    r"|here\sis\smy\sthought\sprocess)[*_]*:[*_]*(?P<thought>.*?)"
    r"\n[ \t*_#]*(?:(?:final\s)?(?:answer|response|output)|here\sis\smy\sresponse)[*_]*:[*_]*(?P<said>.*)$",
    re.IGNORECASE | re.DOTALL,
)
_DONE = re.compile(r"\s*Thinking\.\.\.\n(?P<thought>.*?)\n\s*\.\.\.done thinking\.(?P<said>.*)$", re.DOTALL)
_HEADS = re.compile(
    r"[\s*_#]*(?:assistant|analysis|commentary|(?:internal\s)?(?:reasoning|thinking)|thought\sprocess|chain[\s-]of|here\sis\smy)",
    re.IGNORECASE,
)


def split_reasoning(text: str) -> tuple[str, str, bool]:
    """(answer, reasoning, leaked). Without a leak the text comes back untouched; with one, both are stripped.

    A block never closed is reasoning to its end; a closing tag alone makes all before it reasoning.
    """
    if _HEADS.match(text):
        split = _split_headed(text)
        if split is not None:
            return split
    if _MARKED.search(text) is None:
        return text, "", False
    if any(not _spoken_of(text, found.start(), found.end()) for found in _HARMONY.finditer(text)):
        return _split_channels(text)
    if _TAG.search(text) is None:
        return _unwrapped_special(text)
    return _split_tags(text)


def _split_tags(text: str) -> tuple[str, str, bool]:
    """A tag that is used casts doubt on those that may be spoken of: then all count but those in quotes or code."""
    tags = [found for found in _TAG.finditer(text) if not _spoken_of(text, found.start(), found.end())]
    last_close = max((found.start() for found in tags if found["close"]), default=-1)
    if not any(_is_used(text, tag, last_close) for tag in tags):
        return text, "", False
    said: list[str] = []
    thought: list[str] = []
    at, thinking = 0, False
    for tag in tags:
        before = text[at : tag.start()]
        if tag["open"]:
            if thinking:
                continue
            said.append(before)
            thinking = True
        elif thinking:
            thought.append(before)
            thinking = False
        else:
            thought += [*said, before]
            said.clear()
        at = tag.end()
    (thought if thinking else said).append(text[at:])
    return (
        _unwrapped("".join(said)).strip(),
        "\n".join(part.strip() for part in thought if part.strip()),
        True,
    )


def _is_used(text: str, tag: re.Match[str], last_close: int) -> bool:
    if tag["open"]:
        return tag.start() < last_close or _begins_line(text, tag.start())
    return not _between_words(text, tag.start(), tag.end())


def _spoken_of(text: str, start: int, end: int) -> bool:
    """Is what stands there in quotes, or in code?"""
    if start and text[start - 1] in _QUOTES and end < len(text) and text[end] in _QUOTES + ".":
        return True
    if "`" not in text[:start]:
        return False
    line = text.rfind("\n", 0, start) + 1
    return text.count("```", 0, start) % 2 == 1 or text.count("`", line, start) % 2 == 1


def _begins_line(text: str, at: int) -> bool:
    return not text[text.rfind("\n", 0, at) + 1 : at].strip()


def _between_words(text: str, start: int, end: int) -> bool:
    return start > 0 and text[start - 1] in " \t" and end < len(text) and text[end] in _BESIDE_WORDS


def _unwrapped(said: str) -> str:
    """An answer whose own wrapper was left on it, as the prompts of some reasoning models have it."""
    found = _WRAPPED.match(said)
    return (found["plain"] if found["plain"] is not None else found["special"]) if found else said


def _unwrapped_special(text: str) -> tuple[str, str, bool]:
    found = _WRAPPED.match(text)
    if found is None or found["special"] is None:
        return text, "", False
    return found["special"].strip(), "", True


def _split_headed(text: str) -> tuple[str, str, bool] | None:
    for pattern in (_DONE, _HEADED):
        found = pattern.match(text)
        if found and found["said"].strip():
            return found["said"].strip(), found["thought"].strip(), True
    found = _BARE_HARMONY.match(text)
    if found:
        return text[found.end() :].strip(), found["thought"].strip(), True
    found = _BARE_FINAL.match(text)
    return (text[found.end() :].strip(), "", True) if found else None


def _split_channels(text: str) -> tuple[str, str, bool]:
    finals = list(_FINAL.finditer(text))
    if not finals:
        return "", _CONTROL_TOKEN.sub(" ", text).strip(), True
    last = finals[-1]
    said = _CONTROL_TOKEN.split(text[last.end() :], maxsplit=1)[0]
    return said.strip(), _CONTROL_TOKEN.sub(" ", text[: last.start()]).strip(), True
