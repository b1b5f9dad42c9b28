"""What the demonstration has shown, out of the ledger: as JSON, and in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from app.ledger import health, reports, scorecard
from app.ledger.health import Health
from app.ledger.reports import JobStatus
from app.ledger.scorecard import Score

_COUNCIL = 3
# The order in which the story is told; small troubles of every day come last.
_STORY = ("outage", "error", "limits", "leak_reasoning", "rate_limit", "wrong_json")


@dataclass(frozen=True, slots=True)
class Summary:
    """``weather``: one entry for each event, ``stood_in`` by provider; ``next``: commands to try."""

    status: JobStatus
    scores: list[Score]
    weather: list[dict[str, Any]]
    next: list[str]

    @property
    def one_voice(self) -> float | None:
        """Accuracy of all votes taken singly."""
        with_gold = sum(s.with_gold for s in self.scores)
        return sum(s.correct for s in self.scores) / with_gold if with_gold else None

    @property
    def three_votes_usd(self) -> float | None:
        """Three votes for each item, at the mean cost of a call that was answered; None where any cost is unknown."""
        if self.status.unpriced:
            return None
        answered = sum(s.answered for s in self.scores)
        cost_micro = sum(s.cost_micro for s in self.scores) / answered if answered else 0.0
        return round(cost_micro * _COUNCIL * self.status.progress.items / 1e6, 6)

    def to_json(self) -> dict[str, Any]:
        items = self.status.progress.items
        return {
            **self.status.to_json(),
            "one_voice_accuracy": None if self.one_voice is None else round(self.one_voice, 4),
            "models": [
                {
                    "deployment": s.deployment,
                    "votes": s.votes,
                    "accuracy": None if s.accuracy is None else round(s.accuracy, 4),
                    "abstentions": s.abstentions,
                    "calls": s.calls,
                    "failed": dict(s.failed),
                    "refused": dict(s.refused),
                    "cost_usd": reports.known_usd(s.cost_micro, s.unpriced),
                    "stood_in": dict(s.stood_in),
                }
                for s in self.scores
            ],
            "three_votes_each": {
                "calls": _COUNCIL * items,
                "cost_usd": self.three_votes_usd,
            },
            "weather": self.weather,
            "next": self.next,
        }

    def to_text(self) -> str:
        return "\n".join([*self._accuracy(), "", *self._cost(), "", *self._weather(), "", *self._next()]) + "\n"

    def _accuracy(self) -> list[str]:
        at = self.status.progress
        lines = [f"{at.decided} of {at.items} headlines decided in {at.elapsed_s:.0f} s", "", "accuracy"]
        lines += [
            f"  {s.accuracy:7.1%}  {s.deployment} alone, of {s.votes} votes"
            + (f" ({s.abstentions} could not be read)" if s.abstentions else "")
            for s in sorted(self.scores, key=lambda s: (s.accuracy or 0.0, s.deployment))
            if s.accuracy is not None
        ]
        if self.one_voice is not None and self.status.accuracy is not None:
            lines.append(
                f"  {self.one_voice:7.1%}  one voice on average, of {sum(s.with_gold for s in self.scores)} votes"
            )
            lines.append(f"  {self.status.accuracy:7.1%}  the vote, of {self.status.with_gold} headlines")
        return lines

    def _cost(self) -> list[str]:
        status, items = self.status, self.status.progress.items
        calls, full_calls = status.calls, _COUNCIL * items
        spent = _money(reports.known_usd(status.cost_micro, status.unpriced))
        saved = f", {1 - calls / full_calls:.0%} fewer" if calls < full_calls else ""
        return [
            "calls and cost (at the fleet file's prices)",
            f"  {calls:,} calls, {spent}: a third voice only where two differ or one fails{saved}",
            f"  {full_calls:,} calls, {_money(self.three_votes_usd)}: three votes each, had none of them failed",
        ]

    def _weather(self) -> list[str]:
        lines = ["the weather, and the way around it"]
        for entry in self.weather:
            lines.append(f"  {entry['provider']:<22}{entry['event']}")
            lines.append(f"  {'':<22}{_seen(entry)}")
            if entry["stood_in"]:
                others = ", ".join(f"{name} {count}" for name, count in list(entry["stood_in"].items())[:5])
                lines.append(f"  {'':<22}answered in its place: {others}")
        failed = sum((s.failed for s in self.scores), Counter[str]())
        lines.append(f"  calls that failed, by kind: {_counts(failed) or 'none'}")
        return lines

    def _next(self) -> list[str]:
        return ["three commands to try next", *(f"  {command}" for command in self.next)]


def summarise(engine: Engine, job_id: str, weather: Mapping[str, Any], command: str) -> Summary:
    """Read it all out of the ledger. ``command``: how `switchyard` is called from here, on this home."""
    scores = scorecard.scores(engine, job_id)
    known = health.current(engine)
    status = reports.status(engine, job_id)
    item = scorecard.contested(engine, job_id)
    following = [f"{command} explain {job_id} {item}"] if item else []
    following += [f"{command} replay {job_id}", f"{command} spend --by model"]
    return Summary(status, scores, _routed(weather["event"], scores, known, status), following)


def _routed(
    events: Sequence[Mapping[str, Any]], scores: list[Score], health: Mapping[str, Health], status: JobStatus
) -> list[dict[str, Any]]:
    by_provider = scorecard.by_provider(scores)
    told = sorted((e for e in events if e["kind"] in _STORY), key=lambda e: _STORY.index(e["kind"]))
    entries = []
    for event in told:
        mine = by_provider.get(event["provider"], [])
        stood_in = Counter[str]()
        for name, items in sum((s.stood_in for s in mine), Counter[str]()).items():
            stood_in[name.partition("/")[0]] += items
        entries.append(
            {
                "provider": event["provider"],
                "kind": event["kind"],
                "event": _happened(event),
                "votes": sum(s.votes for s in mine),
                "first_vote_s": _round(min((s.first_vote_s for s in mine if s.first_vote_s is not None), default=None)),
                "last_vote_s": _round(max((s.last_vote_s for s in mine if s.last_vote_s is not None), default=None)),
                "leaked": sum(s.leaked for s in mine),
                "abstentions": sum(s.abstentions for s in mine),
                "failed": dict(sum((s.failed for s in mine), Counter[str]())),
                "refused": dict(sum((s.refused for s in mine), Counter[str]())),
                "down_after_s": _down_after(mine, health, status),
                "stood_in": dict(sorted(stood_in.items(), key=lambda kv: (-kv[1], kv[0]))),
            }
        )
    return entries


def _down_after(mine: list[Score], health: Mapping[str, Health], status: JobStatus) -> float | None:
    """Seconds into the job when the health check took it off the fleet; None where it stands."""
    known = [health[score.deployment] for score in mine if score.deployment in health]
    downs = [h.since for h in known if h.state != "healthy"]
    return _round(max(0.0, (min(downs) - status.job.created_at).total_seconds())) if downs else None


def _happened(event: Mapping[str, Any]) -> str:
    start, chance = event.get("from_s", 0), event.get("probability", 1)
    match event["kind"]:
        case "outage":
            return f"died after {start} s, and stayed dead"
        case "error" if "to_s" in event:
            return f"was down at first ({event['status']}) and recovered after {event['to_s']} s"
        case "error":
            return f"answered {event['status']} to {chance:.0%} of its calls"
        case "limits":
            return f"lowered its limit to {event['rpm']} a minute after {start} s, without a word"
        case "leak_reasoning":
            return f"thought aloud in its answers; {event['unclosed']:.0%} never came back from it"
        case "rate_limit":
            return f"said 429 to {chance:.0%} of its calls out of the blue"
    return f"broke off {chance:.0%} of its answers"


def _seen(entry: Mapping[str, Any]) -> str:
    """What the yard made of it."""
    parts = []
    if entry["first_vote_s"] is None:
        parts.append("no votes")
    else:
        parts.append(f"{entry['votes']} votes, from {entry['first_vote_s']:.0f} s to {entry['last_vote_s']:.0f} s")
    if entry["leaked"]:
        parts.append(f"{entry['leaked']} answers rid of their reasoning")
    if entry["abstentions"]:
        parts.append(f"{entry['abstentions']} abstentions")
    if entry["failed"]:
        parts.append(f"calls failed: {_counts(entry['failed'])}")
    if entry["refused"]:
        parts.append(f"not called: {_counts(entry['refused'])}")
    if entry["down_after_s"] is not None:
        parts.append(f"health check took it off after {entry['down_after_s']:.0f} s")
    return "; ".join(parts)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items(), key=lambda kv: (-kv[1], kv[0])))


def _money(usd: float | None) -> str:
    return "cost unknown" if usd is None else f"${usd:.4f}"


def _round(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
