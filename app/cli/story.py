"""``switchyard explain`` in words: one item from its text to its decision."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.cli.output import one_line, safe, usd

_TEXT_CHARS = 2_000


def story(found: dict[str, Any]) -> str:
    """``found``: as ``app.ledger.testimony.explain`` gives it."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: dict[str, Any]) -> Iterator[str]:
    text = safe(found["text"])
    yield f"item      {one_line(found['custom_id'])} of {found['job']} (row {found['n']}, {found['state']})"
    yield "text      " + (text if len(text) <= _TEXT_CHARS else text[:_TEXT_CHARS] + "…").replace("\n", "\n          ")
    if found["gold"] is not None:
        yield f"gold      {one_line(found['gold'])}"
    if (first := found["same_as"]) is not None:
        alike = "the same" if first["similarity"] is None else f"nearly the same ({first['similarity']:.2f})"
        yield f"asks      {alike} as {one_line(first['custom_id'])}: asked once, for both"
    yield from _traits(found)
    yield f"recipe    {found['recipe']}, tier {found['tier']}"
    if found["plan"] is None:
        yield "plan      none: it never left the yard" if found["decision"] else "plan      none yet: it is in the yard"
    else:
        seats = ", ".join(
            f"{at}:{one_line(seat['deployment'])}" + (f" ({seat['role']})" if seat["role"] != "voice" else "")
            for at, seat in enumerate(found["plan"]["seats"])
        )
        yield f"plan      {seats}"
        yield from _chosen(found["chosen"], found["plan"]["seats"])
        if found["plan"].get("choice"):
            yield f"choice    {_choice(found['plan'])}"
        if found["plan"]["closed"]:
            yield f"          closed: {one_line(found['plan']['closed'])}"
    for wave in found["waves"]:
        yield f"wave {wave['wave']:<4} seat {wave['seat']} {one_line(wave['deployment'])}, {wave['state']}"
    for a in found["attempts"]:
        what = a["outcome"] + (f" {a['failure_kind']}" if a["failure_kind"] else "")
        status = f" {a['status']}" if a["status"] else ""
        spent = f"{a['latency_ms']} ms, {a['input_tokens']} in, {a['output_tokens']} out, {usd(a['cost_usd'])}"
        late = ", late" if a["late"] else ""
        yield f"attempt   {one_line(a['deployment'])} try {a['try']}: {what}{status}, {spent}{late}"
        if a["items"]:
            carried = ", ".join(one_line(item) for item in a["items"])
            yield f"          a pack of {len(a['items'])} ({carried}); this item's share is {usd(a['share_usd'])}"
        if a["text"]:
            yield f"          “{one_line(a['text'], 200)}”"
    for vote in found["votes"]:
        said = one_line(vote["answer"], 200) if vote["answer"] is not None else vote["failure_kind"] or "abstains"
        why = f" ({one_line(vote['reason'])})" if vote["reason"] else ""
        if (paid := vote["reused"]) is not None:
            why += f" (reused from {one_line(paid['job'])}, which paid {usd(paid['cost_usd'])} on {paid['at'][:10]})"
        yield f"vote      {one_line(vote['deployment'])}: {said}{why}"
    yield from _decision(found["decision"])
    for row in found["withdrawn"]:
        yield f"before    {row['decision']['status']}: {one_line(row['decision']['reason'])} (withdrawn by a retry)"


def _chosen(chosen: dict[str, Any], seats: list[dict[str, Any]]) -> Iterator[str]:
    """On what terms the seats were chosen, and what was known of each when it was."""
    weights = ", ".join(f"{name} {weight:.2f}" for name, weight in chosen["weights"].items())
    by = f"those with room by score ({weights})" if chosen["graded"] else f"by time, ties by score ({weights})"
    wishes = [f"{key} {one_line(', '.join(value) if isinstance(value, list) else value)}"
              for key, value in chosen["wishes"].items()]  # fmt: skip
    lane = [f"lane {one_line(chosen['lane'])}"] if chosen["lane"] else []
    yield f"chosen    {'; '.join([by, *wishes, *lane])}"
    known = [
        f"{at}: quality {seat['quality']:.2f}" + (f", {ms} ms" if (ms := seat.get("latency_ms")) is not None else "")
        for at, seat in enumerate(seats)
    ]
    yield f"          {'; '.join(known)}"


def _traits(found: dict[str, Any]) -> Iterator[str]:
    """What it is like, each with the rule that says so; and the lane in which it travels for that."""
    title = "traits"
    for name, trait in found["traits"].items():
        if isinstance(trait, dict) and "why" in trait:
            yield f"{title:10}{name} {trait['value']}: {one_line(trait['why'], 200)}"
            title = ""
    if kinds := found["traits"].get("privacy"):
        what = ", ".join(f"{number} {kind}" for kind, number in kinds.items())
        done = "leaves without it" if "redacted" in found["traits"] else "asked of local deployments only"
        yield f"{title:10}personal data: {what}; {done}"
    if "tokens" in found["traits"]:
        yield f"{title:10}about {found['traits']['tokens']:,} tokens"
    if found["lane"] and found["plan"] is None:
        yield f"lane      {one_line(found['lane'])}"


def _choice(plan: dict[str, Any]) -> str:
    """How the recipe came about, where there was a choice."""
    choice, recipe = plan["choice"], one_line(plan["recipe"], 120)
    match choice["kind"]:
        case "experiment":
            return f"{recipe}: arm {choice['arm']} of the experiment" + (
                ", which has won" if "settled" in choice else ""
            )
        case "bandit":
            return f"{recipe}: by a bandit, with a chance of {choice['propensity']:.3f}"
    if choice["part"] == "strong":
        return f"{recipe}: the guarantee accepts nothing any more"
    if choice["part"] == "audit":
        return f"for the guarantee: audited, block {choice['block']}"
    threshold = "not ruled yet" if plan.get("threshold") is None else f"{plan['threshold']:g} (above 1: never)"
    return f"for the guarantee: the rest of block {choice['block']}, threshold {threshold}"


def _decision(decision: dict[str, Any] | None) -> Iterator[str]:
    if decision is None:
        yield "decision  none yet"
        return
    if decision["answer"] is None:
        yield f"decision  {decision['status']}: {one_line(decision['reason'])}"
    else:
        shares = "" if decision["agreement"] is None else f", agreement {decision['agreement']:.2f}"
        sure = "" if decision["confidence"] is None else f", confidence {decision['confidence']:.2f}"
        yield f"decision  {one_line(decision['answer'], 500)}{shares}{sure}"
    flags = f", {', '.join(map(one_line, decision['flags']))}" if decision["flags"] else ""
    yield (
        f"          {decision['votes']} votes, {decision['abstentions']} abstentions, {decision['calls']} calls, "
        f"{usd(decision['cost_usd'])}, {decision['latency_ms']} ms{flags}"
    )
