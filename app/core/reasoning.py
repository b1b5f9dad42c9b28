"""Split what a model thought from what it said.

Some servers leave the thinking in the answer's text: between ``<think>`` tags (DeepSeek R1, Qwen 3), with the
opening tag eaten by the chat template, cut before the closing tag, or as raw channels (gpt-oss's harmony format).
"""

from __future__ import annotations

import re

_NAMES = r"(?:think|thinking|thought|thoughts|reasoning|reflection|seed:think)"
_OPEN = re.compile(rf"<{_NAMES}>|\[THINK\]|◁think▷", re.IGNORECASE)
_CLOSE = re.compile(rf"</{_NAMES}>|\[/THINK\]|◁/think▷", re.IGNORECASE)
_FINAL_CHANNEL = re.compile(r"(?:<\|start\|>assistant)?<\|channel\|>final(?:[^<]*)<\|message\|>")
_CONTROL_TOKEN = re.compile(r"<\|(?:start|end|return|channel|message|call)\|>(?:assistant|analysis|commentary)?")


def split_reasoning(text: str) -> tuple[str, str, bool]:
    """(answer, reasoning, leaked). Without a leak the text comes back untouched; with one, both are stripped.

    A block never closed is reasoning to its end; a closing tag alone makes all before it reasoning.
    """
    if "<" not in text and "[" not in text and "◁" not in text:
        return text, "", False
    if "<|channel|>" in text:
        return _split_channels(text)
    if _CLOSE.search(text) is None and _OPEN.search(text) is None:
        return text, "", False

    said: list[str] = []
    thought: list[str] = []
    at = 0
    while True:
        opening, closing = _OPEN.search(text, at), _CLOSE.search(text, at)
        if closing is not None and (opening is None or closing.start() < opening.start()):
            thought.extend(said)
            said.clear()
            thought.append(text[at : closing.start()])
            at = closing.end()
        elif opening is not None:
            said.append(text[at : opening.start()])
            if closing is None:
                thought.append(text[opening.end() :])
                break
            thought.append(text[opening.end() : closing.start()])
            at = closing.end()
        else:
            said.append(text[at:])
            break
    return "".join(said).strip(), "\n".join(part.strip() for part in thought if part.strip()), True


def _split_channels(text: str) -> tuple[str, str, bool]:
    finals = list(_FINAL_CHANNEL.finditer(text))
    if not finals:
        return "", _CONTROL_TOKEN.sub(" ", text).strip(), True
    last = finals[-1]
    said = text[last.end() :].split("<|", 1)[0]
    return said.strip(), _CONTROL_TOKEN.sub(" ", text[: last.start()]).strip(), True
