"""Ollama's native chat: ``/api/chat``, whose streams are lines of JSON and whose thinking has a field of its own.

Sources: docs.ollama.com/api (chat, streaming, errors, usage, thinking), ``api/types.go`` of ollama/ollama, and
recorded responses. The base URL is the server's, such as ``http://localhost:11434``.

Warning: where Ollama cuts a prompt that is longer than its window it does not say so; ``num_ctx`` is the server's own.
Its counts hold the whole prompt, cached or not, and thinking is part of ``eval_count``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from app.core.reasoning import split_reasoning
from app.core.values import Answer, Failure, FailureKind, Finish, Request, Usage
from app.dialects.fields import stated
from app.dialects.manners import Manners
from app.dialects.schemas import bare
from app.dialects.trouble import failure_of, refusal
from app.dialects.turns import in_line
from app.dialects.vendors import manners_of
from app.dialects.wireform import Said

PATH = "/api/chat"
HEADERS = {"content-type": "application/json", "accept": "application/json"}

_FINISH = {"stop": Finish.STOP, "length": Finish.LENGTH, "tool_calls": Finish.TOOL_CALLS}


def authorize(key: str) -> dict[str, str]:
    """The header that carries the key: for ollama.com, or a proxy before a server of one's own."""
    return {"authorization": f"Bearer {key}"}


def say(request: Request, manners: Manners | None = None) -> Said:
    """The HTTP request for ``request``; only fields that are set, and that the model takes, are sent."""
    manners = manners or manners_of("ollama", model=request.model)
    options: dict[str, Any] = {"num_predict": request.max_tokens}
    if manners.temperature:
        options["temperature"] = min(request.temperature, manners.hottest)
    if request.seed is not None and manners.seed:
        options["seed"] = request.seed
    if stop := request.stop[: manners.most_stops]:
        options["stop"] = list(stop)
    turns = in_line(request.messages, manners)
    payload: dict[str, Any] = {
        "model": request.model,
        "messages": [{"role": turn.role, "content": turn.content} for turn in turns],
        "stream": False,
        "options": options,
    }
    if request.schema is not None and manners.json_schema:
        payload["format"] = bare(request.schema)
    elif request.wants_json and manners.json_object:
        payload["format"] = "json"
    if request.effort is not None:
        payload |= manners.effort.get(request.effort, {})
    return Said("POST", PATH, {**HEADERS, **manners.headers}, orjson.dumps(payload))


def hear(status: int, headers: Mapping[str, str], body: bytes) -> Answer | Failure:
    """The answer in a response, or why there is none. Never raises for what a provider sent.

    A stream is whole only with its line of ``done``: one that broke off is ``malformed``.
    """
    refused = refusal(status, headers, body)
    if refused is not None:
        return refused
    said: list[str] = []
    thought: list[str] = []
    last: dict[str, Any] = {}
    calls_tools = False
    pieces = _pieces(body)
    if isinstance(pieces, Failure):
        return pieces
    for piece in pieces:
        if piece.get("error"):
            return failure_of(200, headers, piece, usage=_usage(piece))
        last = piece
        message = piece.get("message")
        if not isinstance(message, dict):
            message = {"content": piece.get("response"), "thinking": piece.get("thinking")}  # of /api/generate
        for words, into in ((message.get("content"), said), (message.get("thinking"), thought)):
            if isinstance(words, str):
                into.append(words)
        calls_tools = calls_tools or bool(message.get("tool_calls"))
    if not said and not thought and not calls_tools and not last.get("done"):
        return _malformed("no message in the answer", _usage(last))
    if last.get("done") is False:
        return _malformed("the stream broke off", _usage(last))
    return _answer("".join(said), "".join(thought), last, calls_tools=calls_tools)


def _pieces(body: bytes) -> list[dict[str, Any]] | Failure:
    """The documents of a body: one, or one a line."""
    body = body.removeprefix(b"\xef\xbb\xbf").strip()
    if not body:
        return _malformed("the body is empty", Usage())
    try:
        docs = [orjson.loads(body)]
    except ValueError:
        lines = (line.strip() for line in body.splitlines())
        try:
            docs = [orjson.loads(line) for line in lines if line]
        except ValueError:
            page = body[:1] == b"<"
            return _malformed("the body is an HTML page" if page else "the body is cut or broken JSON", Usage())
    pieces = [doc for doc in docs if isinstance(doc, dict)]
    return pieces or _malformed("the body is no JSON object", Usage())


def _answer(text: str, thought: str, last: dict[str, Any], *, calls_tools: bool) -> Answer:
    reason = last.get("done_reason")
    finish = _FINISH.get(reason, Finish.OTHER) if isinstance(reason, str) else Finish.OTHER
    if calls_tools and finish is Finish.STOP:
        finish = Finish.TOOL_CALLS  # Ollama has no word of its own for it
    text, leaked_thought, leaked = split_reasoning(text)
    model = last.get("model")
    return Answer(
        text.replace("\x00", ""),  # Postgres stores no NUL
        _usage(last),
        (f"{thought}\n{leaked_thought}".strip() if leaked else thought).replace("\x00", ""),
        finish,
        model if isinstance(model, str) else "",
        "",
        ("reasoning_leak",) if leaked else (),
    )


def _usage(last: dict[str, Any]) -> Usage:
    prompt, answer = (stated(last.get(name)) for name in ("prompt_eval_count", "eval_count"))
    return Usage(prompt or 0, 0, answer or 0, 0, prompt, answer)


def _malformed(why: str, usage: Usage) -> Failure:
    return Failure(FailureKind.MALFORMED, why, 200, usage=usage)
