"""Results on their way out: JSON lines, CSV, or the output file of an OpenAI batch."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.output import cell, put
from app.core.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from app.ledger.reports import Progress

_COLUMNS = (
    "custom_id", "status", "answer", "agreement", "confidence", "strategy", "flags", "votes", "abstentions", "calls",
    "cost_usd", "latency_ms", "reason",
)  # fmt: skip
# A decision shows itself when its transaction ends, which may be this much after the moment written on it.
_OVERLAP_S = 60

Write = Callable[[str], None]


@contextmanager
def opened(path: Path | None) -> Iterator[Write]:
    """Where the results go: a file, or stdout."""
    if path is None:
        yield put
        return
    try:
        file = path.open("w", buffering=1, encoding="utf-8", newline="")
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be written ({getattr(error, 'strerror', None) or 'not a path'})") from None
    with file:

        def write(text: str) -> None:
            file.write(text)

        yield write


def write_results(engine: Engine, job_id: str, form: str, write: Write) -> None:
    """Every item in the order of submission."""
    from app.ledger import reports

    line = _former(form, write)
    for _, row in reports.results(engine, job_id):
        if form != "openai" or row["status"] != "pending":
            write(line(row))


def follow_results(engine: Engine, job_id: str, form: str, write: Write) -> Progress:
    """Every item once, as it is decided, until nothing more will be; remembers one byte an item."""
    from app.cli.progress import follow
    from app.ledger import reports

    line = _former(form, write)
    given = bytearray(reports.progress(engine, job_id).items + 1)
    since = [reports.now(engine) - _overlap()]

    def tick(at: Progress) -> None:
        first = not any(given)
        asked_at = reports.now(engine)
        rows = (
            reports.results(engine, job_id) if first or at.finished else reports.decided_since(engine, job_id, since[0])
        )
        for n, row in rows:
            if row["status"] != "pending" and not (n < len(given) and given[n]):
                given[n] = 1
                write(line(row))
        since[0] = asked_at - _overlap()
        sys.stdout.flush()

    return follow(engine, job_id, tick=tick)


def _overlap() -> Any:
    import datetime as dt

    return dt.timedelta(seconds=_OVERLAP_S)


def _former(form: str, write: Write) -> Callable[[dict[str, Any]], str]:
    import orjson

    if form == "csv":
        write(_csv_line(_COLUMNS))
        return lambda row: _csv_line([_flat(row[name]) for name in _COLUMNS])
    if form == "openai":
        return lambda row: orjson.dumps(_batch_line(row)).decode() + "\n"
    return lambda row: orjson.dumps(row).decode() + "\n"


def _flat(value: Any) -> Any:
    return ";".join(value) if isinstance(value, list) else value


def _csv_line(values: Any) -> str:
    line = io.StringIO()
    csv.writer(line).writerow([cell(value) for value in values])
    return line.getvalue()


def _batch_line(row: dict[str, Any]) -> dict[str, Any]:
    """As platform.openai.com/docs/guides/batch gives them; the model is the strategy, token counts stay in the
    ledger. An item without an answer has an error in its place."""
    line: dict[str, Any] = {"id": f"sy-{row['custom_id']}", "custom_id": row["custom_id"]}
    if row["status"] != "decided":
        error = {"code": row["status"], "message": row["reason"] or row["status"]}
        return {**line, "response": None, "error": error}
    message = {"role": "assistant", "content": row["answer"]}
    body = {
        "id": line["id"],
        "object": "chat.completion",
        "model": f"switchyard/{row['strategy']}",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }
    return {**line, "response": {"status_code": 200, "request_id": line["id"], "body": body}, "error": None}
