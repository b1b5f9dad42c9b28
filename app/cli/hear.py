"""``switchyard hear``: what Switchyard makes of a provider's response, for bug reports and tests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.output import put_json
from app.cli.source import opened
from app.core.errors import InputError, UsageError

if TYPE_CHECKING:
    from app.dialects import Dialect


def register(app: typer.Typer) -> None:
    app.command()(hear)


def hear(
    protocol: Annotated[str, typer.Option(help="The wire protocol, as a provider's row names it.")],
    file: Annotated[str, typer.Argument(help="JSON lines of status, headers, body; - reads stdin.")] = "-",
) -> None:
    """Show what is made of responses: JSON lines in, JSON lines out, in the same order.

    The token counts are the provider's own two headline numbers, null where it gave none.
    """
    from app.dialects import DIALECTS

    dialect = DIALECTS.get(protocol)
    if dialect is None:
        raise UsageError(f"no such protocol; it must be one of {', '.join(DIALECTS)}")
    with opened(file) as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                put_json(_made_of(dialect, *_response(line, number)))


def _response(line: bytes, number: int) -> tuple[int, dict[str, str], bytes]:
    """(status, headers, body) of one line; raises InputError that names the line. No headers, no body: none came."""
    try:
        doc = json.loads(line)
    except RecursionError:
        raise InputError(f"line {number}: not JSON: brackets nested too deep") from None
    except UnicodeDecodeError:
        raise InputError(f"line {number}: not UTF-8") from None
    except json.JSONDecodeError as error:
        raise InputError(f"line {number}: not JSON: {error.msg} at column {error.colno}") from None
    except ValueError:  # an integer of more digits than Python reads
        raise InputError(f"line {number}: not JSON that can be read") from None
    if not isinstance(doc, dict):
        raise InputError(f"line {number}: not a JSON object")
    status, headers, body = doc.get("status"), doc.get("headers"), doc.get("body")
    if type(status) is not int or not 100 <= status <= 999:
        raise InputError(f"line {number}: status must be a whole number from 100 to 999")
    if headers is not None and not isinstance(headers, dict):
        raise InputError(f"line {number}: headers must be an object")
    if body is not None and not isinstance(body, str):
        raise InputError(f"line {number}: body must be a text, as it came")
    # A body cut within a character may hold half of a surrogate pair.
    return (
        status,
        {name: str(value) for name, value in (headers or {}).items()},
        (body or "").encode("utf-8", "replace"),
    )


def _made_of(dialect: Dialect, status: int, headers: dict[str, str], body: bytes) -> dict[str, Any]:
    from app.core.values import Answer

    heard = dialect.hear(status, headers, body)
    made: dict[str, Any] = {
        "kind": "answer",
        "text": "",
        "reasoning": "",
        "finish": heard.finish,
        "input_tokens": heard.usage.stated_input,
        "output_tokens": heard.usage.stated_output,
        "retry_after_s": None,
        "flags": [],
    }
    if isinstance(heard, Answer):
        return made | {"text": heard.text, "reasoning": heard.reasoning, "flags": list(heard.flags)}
    return made | {"kind": heard.kind, "retry_after_s": heard.retry_after_s}
