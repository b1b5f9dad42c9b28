"""``switchyard fleet --plan``: how the quotas of days and months are meant to last until they start anew."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from app.cli.output import put_json, put_table, say

if TYPE_CHECKING:
    from app.core.quotas import Ration
    from app.yard import Yard


def plan(yard: Yard) -> tuple[list[Ration], list[str]]:
    """The plan as the next dispatch would make it; and the deployments that may be called and have no such quota."""
    from app.ledger import yard as ledger
    from app.services.rationing import ration

    with yard.engine.begin() as connection:
        jobs = ledger.waiting_jobs(connection, most=yard.settings.chunk_size * 1000)
        tracks = yard.view.tracks(ledger.queued_calls(connection))
    made = ration(tracks, jobs)
    return made, [t.deployment.name for t in tracks if not t.quotas]


def as_json(ration: Ration) -> dict[str, Any]:
    """Calls, whatever the rule counts; tokens are taken at what a call takes there. ``spare``: what easy first voices
    may have now; null where nothing is planned."""
    return {
        "deployment": ration.deployment,
        "rule": ration.quota.rule,
        "limit": round(ration.quota.limit),
        "left": round(ration.quota.left),
        "resets_at": _resets_at(ration).isoformat(timespec="seconds"),
        "waiting_easy": round(ration.demand.easy),
        "waiting_late": round(ration.demand.late),
        "waiting_hard": round(ration.demand.hard),
        "planned": ration.planned,
        "spare": round(ration.spare) if ration.planned else None,
        "easy_per_hour": round(ration.per_hour, 1),
        "kept_for_hard": round(ration.kept),
        "why": ration.why,
    }


def put_plan(made: list[Ration], others: list[str], as_json_: bool) -> None:
    rows = [as_json(ration) for ration in made]
    if as_json_:
        put_json(rows)
        return
    put_table(
        ["deployment", "quota", "left", "resets", "easy/h", "kept for hard", "why"],
        [
            [
                r["deployment"], r["rule"], f"{r['left']:,}/{r['limit']:,}",
                f"{_resets_at(ration).astimezone():%d %b %H:%M}",
                f"{r['easy_per_hour']:,.0f}" if ration.planned else "free",
                f"{r['kept_for_hard']:,}" if ration.planned else "–", r["why"],
            ]
            for r, ration in zip(rows, made, strict=True)
        ],
    )  # fmt: skip
    if others:
        say(f"{len(others)} more may be called and have no quota of a day or month")


def _resets_at(ration: Ration) -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(seconds=ration.quota.resets_s)
