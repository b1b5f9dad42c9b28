"""Google's native generateContent protocol, as AI Studio and Vertex speak it: two pure functions.

Sources: ai.google.dev/api/generate-content, google.rpc error details, and recorded responses.

Warning: ``UsageMetadata`` names its buckets but does not say which totals hold; counts are made disjoint by what
their total allows. Models of the Gemma family take neither a system instruction nor JSON mode: there the system
text opens the first turn and JSON mode is left to the prompt. Only the first candidate is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import orjson

from app.core.masking import safe_message
from app.core.reasoning import split_reasoning
from app.core.values import Answer, Failure, FailureKind, Finish, Message, Request, Usage
from app.dialects.events import documents
from app.dialects.fields import count_of, stated
from app.dialects.manners import Manners
from app.dialects.schemas import bare
from app.dialects.trouble import failure_of, refusal
from app.dialects.turns import apart, runs
from app.dialects.vendors import manners_of
from app.dialects.wireform import Said

HEADERS = {"content-type": "application/json", "accept": "application/json"}
_SEEDS = 2**31
"""``seed`` is an int32."""

_FILTERED = (
    "SAFETY RECITATION BLOCKLIST PROHIBITED_CONTENT SPII MODEL_ARMOR IMAGE_SAFETY IMAGE_PROHIBITED_CONTENT "
    "IMAGE_RECITATION"
)
_FINISH: dict[str | int, Finish] = {
    "STOP": Finish.STOP, 1: Finish.STOP, "MAX_TOKENS": Finish.LENGTH, 2: Finish.LENGTH,
    **dict.fromkeys(_FILTERED.split(), Finish.CONTENT_FILTER),
    # As numbers, the protocol's own enumeration; 7 and 8 are filters in Vertex's too, which counts one lower.
    **dict.fromkeys((3, 4, 7, 8, 9, 11), Finish.CONTENT_FILTER),
}  # fmt: skip
_NO_BLOCK = ("BLOCK_REASON_UNSPECIFIED", "BLOCKED_REASON_UNSPECIFIED")


def authorize(key: str) -> dict[str, str]:
    """The header that carries the key. A URL never does: URLs are logged."""
    return {"x-goog-api-key": key}


def say(request: Request, manners: Manners | None = None) -> Said:
    """The HTTP request for ``request``; only fields that are set, and that the model takes, are sent.

    Turns of one role in a row become parts of one: the protocol wants roles to alternate. Stop sequences beyond what
    is taken are left out; a seed is folded into 31 bits.
    """
    manners = manners or manners_of("gemini", model=request.model)
    system, turns = apart(request.messages, manners)
    config: dict[str, Any] = {"maxOutputTokens": request.max_tokens}
    if manners.temperature:
        config["temperature"] = min(request.temperature, manners.hottest)
    if request.seed is not None and manners.seed:
        config["seed"] = request.seed % _SEEDS
    if stop := request.stop[: manners.most_stops]:
        config["stopSequences"] = list(stop)
    if request.schema is not None and manners.json_schema:
        config |= {"responseMimeType": "application/json", "responseJsonSchema": bare(request.schema)}
    elif request.wants_json and manners.json_object:
        config["responseMimeType"] = "application/json"
    if request.effort is not None:
        config |= manners.effort.get(request.effort, {})
    payload: dict[str, Any] = {"contents": _contents(turns), "generationConfig": config}
    if system:
        payload["systemInstruction"] = {"parts": [{"text": text} for text in system]}
    path = f"/models/{quote(_bare(request.model), safe='')}:generateContent"
    return Said("POST", path, {**HEADERS, **manners.headers}, orjson.dumps(payload))


def _bare(model: str) -> str:
    return model.removeprefix("models/")


def _contents(turns: list[Message]) -> list[dict[str, Any]]:
    named = [Message("model" if turn.role in ("assistant", "model") else "user", turn.content) for turn in turns]
    return [{"role": role, "parts": [{"text": text} for text in texts]} for role, texts in runs(named)]


def hear(status: int, headers: Mapping[str, str], body: bytes) -> Answer | Failure:
    """The answer in a response, or why there is none. Never raises for what a provider sent."""
    refused = refusal(status, headers, body)
    if refused is not None:
        return refused
    docs, flaw = documents(body)
    heard = _Heard()
    for doc in docs:
        if not isinstance(doc, dict):
            continue
        inner = doc.get("response")
        piece = inner if isinstance(inner, dict) and "candidates" not in doc else doc
        if piece.get("error"):
            return failure_of(200, headers, piece, usage=_usage(heard.counts))
        heard.take(piece)
    usage = _usage(heard.counts)
    if flaw:
        return Failure(FailureKind.MALFORMED, flaw, 200, usage=usage)
    if heard.candidate:
        if heard.reason is None and not heard.block and (len(docs) > 1 or body.lstrip().startswith(b"data:")):
            return Failure(FailureKind.MALFORMED, "the stream is cut or broken", 200, usage=usage)
        return _answer(heard, usage)
    if heard.block:
        why = heard.words or f"the prompt was blocked: {heard.block}"
        return _filtered(why, usage)
    for doc in docs:
        if isinstance(doc, dict) and (doc.get("message") or doc.get("detail") or doc.get("errors")):
            return failure_of(200, headers, doc, usage=usage)
    return Failure(FailureKind.MALFORMED, "no candidates in the answer", 200, usage=usage)


@dataclass(slots=True)
class _Heard:
    """The one response that pieces add up to. Counts and reasons of later pieces replace earlier ones."""

    said: list[str] = field(default_factory=list)
    thought: list[str] = field(default_factory=list)
    candidate: bool = False
    called: bool = False
    reason: Any = None
    block: str = ""
    words: str = ""
    counts: dict[str, Any] = field(default_factory=dict)
    model: str = ""
    request_id: str = ""

    def take(self, doc: dict[str, Any]) -> None:
        counts, feedback, candidates = doc.get("usageMetadata"), doc.get("promptFeedback"), doc.get("candidates")
        if isinstance(counts, dict):
            self.counts |= counts
        if isinstance(doc.get("modelVersion"), str):
            self.model = doc["modelVersion"]
        if isinstance(doc.get("responseId"), str):
            self.request_id = doc["responseId"]
        if isinstance(feedback, dict) and feedback.get("blockReason") and feedback["blockReason"] not in _NO_BLOCK:
            self.block = str(feedback["blockReason"])
            self._note(feedback.get("blockReasonMessage"))
        for candidate in candidates if isinstance(candidates, list) else ():
            if isinstance(candidate, dict) and candidate.get("index", 0) in (0, None):
                self._take_candidate(candidate)
                break

    def _take_candidate(self, candidate: dict[str, Any]) -> None:
        self.candidate = True
        self.reason = candidate.get("finishReason") or self.reason
        self._note(candidate.get("finishMessage"))
        content = candidate.get("content")
        parts = content.get("parts") if isinstance(content, dict) else None
        for part in parts if isinstance(parts, list) else ():
            if not isinstance(part, dict):
                continue
            if part.get("functionCall"):
                self.called = True
            if isinstance(part.get("text"), str):
                (self.thought if part.get("thought") else self.said).append(part["text"])

    def _note(self, words: Any) -> None:
        if isinstance(words, str):
            self.words = words


def _answer(heard: _Heard, usage: Usage) -> Answer | Failure:
    text, leaked_thought, leaked = split_reasoning("".join(heard.said))
    thought = "".join(heard.thought)
    reason = heard.reason
    finish = _FINISH.get(reason, Finish.OTHER) if isinstance(reason, (str, int)) else Finish.OTHER
    if finish is Finish.OTHER and isinstance(reason, str):
        finish = _FINISH.get(reason.upper(), Finish.OTHER)
    silent = not text or text.isspace()
    if finish is Finish.CONTENT_FILTER or (heard.block and silent):
        return _filtered(heard.words or f"stopped by a content filter: {heard.block or reason}", usage)
    if silent and not (reason or thought or leaked or heard.called):
        return Failure(FailureKind.MALFORMED, "empty answer", 200, usage=usage)
    if heard.called and reason == "STOP":
        # Servers that number their reasons have their STOP taken as it is, as the recorded expectations do.
        finish = Finish.TOOL_CALLS
    return Answer(
        text.replace("\x00", ""),  # Postgres stores no NUL
        usage,
        (f"{thought}\n{leaked_thought}".strip() if leaked else thought).replace("\x00", ""),
        finish,
        heard.model,
        heard.request_id,
        ("reasoning_leak",) if leaked else (),
    )


def _filtered(why: str, usage: Usage) -> Failure:
    return Failure(FailureKind.CONTENT_FILTER, safe_message(why), 200, usage=usage, finish=Finish.CONTENT_FILTER)


def _usage(raw: dict[str, Any]) -> Usage:
    """The counts in disjoint buckets; their sum is ``totalTokenCount`` where that can be made to hold.

    Cached tokens are part of the prompt, thoughts stand beside the candidates, and results of Google's own tools
    are input beside the prompt; unless the total says otherwise. A total above all of them is thinking not named.
    """
    prompt, output = count_of(raw.get("promptTokenCount")), count_of(raw.get("candidatesTokenCount"))
    thought, cached = count_of(raw.get("thoughtsTokenCount")), count_of(raw.get("cachedContentTokenCount"))
    tools, total = count_of(raw.get("toolUsePromptTokenCount")), count_of(raw.get("totalTokenCount"))
    headline = (stated(raw.get("promptTokenCount")), stated(raw.get("candidatesTokenCount")))
    beside = total - prompt - output - tools
    if thought and beside == 0 and thought <= output:
        output -= thought
    else:
        beside -= thought
    if cached and (cached > prompt or beside == cached):
        beside -= cached
    else:
        prompt -= cached
    return Usage(prompt + tools, cached, output, thought + max(beside, 0), *headline)
