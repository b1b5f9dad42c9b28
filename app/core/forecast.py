"""When a job can be done at the earliest, by the limits of the fleet alone.

Every item wants so many voices of different families. By time T a deployment can give ``cap(T)`` answers, those of
one provider share its limits, and one family gives an item at most one voice. So T is enough if a flow of
``voices x items`` fits through provider, deployment and family; the least such T is found by bisection.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

from app.core.values import Deployment, Limits

_DAY_S = 86_400.0
_MONTH_S = 30 * _DAY_S
_UNBOUNDED_CALLS = 64
_LONGEST_S = 10 * 365 * _DAY_S


def finish_s(
    deployments: Sequence[Deployment],
    items: int,
    voices: float,
    tokens_per_call: float,
    *,
    latency_s: float = 1.0,
    fresh: bool = True,
) -> float:
    """Seconds until every item can have had its voices; infinite if it never can (or not within ten years).

    ``fresh``: the windows of the limits stand open at the start; else their steady pace is all there is, and a daily
    limit counts as its share of a day. A provider that names no concurrency gets 64 calls at once.
    """
    wanted = voices * items
    if wanted <= 0:
        return 0.0
    if _flow(deployments, items, tokens_per_call, latency_s, _LONGEST_S, fresh) < wanted * (1 - 1e-9):
        return math.inf
    low, high = 0.0, _LONGEST_S
    while high - low > max(0.05, high * 1e-4):
        middle = (low + high) / 2 if low else high / 16
        if _flow(deployments, items, tokens_per_call, latency_s, middle, fresh) >= wanted * (1 - 1e-9):
            high = middle
        else:
            low = middle
    return high


def capacity(limits: Limits, tokens_per_call: float, latency_s: float, for_s: float, fresh: bool = True) -> float:
    """Calls that these limits let through within so many seconds."""

    def windows(length_s: float) -> float:
        return for_s // length_s + 1 if fresh else for_s / length_s

    bounds = [(limits.concurrency or _UNBOUNDED_CALLS) * for_s / latency_s]
    for requests, tokens, length_s in (
        (limits.rpm, limits.tpm, 60.0),
        (limits.rph, limits.tph, 3600.0),
        (limits.rpd, limits.tpd, _DAY_S),
        (limits.rpmo, limits.tpmo, _MONTH_S),
    ):
        if requests is not None:
            bounds.append(requests * windows(length_s))
        if tokens is not None:
            bounds.append(tokens * windows(length_s) / tokens_per_call)
    return min(bounds)


def _flow(
    deployments: Sequence[Deployment], items: int, tokens: float, latency_s: float, for_s: float, fresh: bool
) -> float:
    """The most calls, of distinct families for each item, that can be made within ``for_s``."""
    graph: dict[str, dict[str, float]] = {"source": {}, "sink": {}}

    def edge(start: str, end: str, cap: float) -> None:
        graph.setdefault(start, {}).setdefault(end, cap)
        graph.setdefault(end, {}).setdefault(start, 0.0)

    for d in deployments:
        edge("source", f"p:{d.provider}", d.keys * capacity(d.provider_limits, tokens, latency_s, for_s, fresh))
        edge(f"p:{d.provider}", f"d:{d.name}", d.keys * capacity(d.limits, tokens, latency_s, for_s, fresh))
        edge(f"d:{d.name}", f"f:{d.family}", math.inf)
        edge(f"f:{d.family}", "sink", float(items))
    total = 0.0
    while path := _path(graph):
        pushed = min(graph[a][b] for a, b in path)
        for a, b in path:
            graph[a][b] -= pushed
            graph[b][a] += pushed
        total += pushed
    return total


def _path(graph: dict[str, dict[str, float]]) -> list[tuple[str, str]]:
    """A shortest way with capacity left from source to sink (Edmonds and Karp, 1972); empty: there is none."""
    came: dict[str, str] = {"source": "source"}
    queue = deque(["source"])
    while queue and "sink" not in came:
        node = queue.popleft()
        for to, left in graph[node].items():
            if left > 1e-9 and to not in came:
                came[to] = node
                queue.append(to)
    if "sink" not in came:
        return []
    path, node = [], "sink"
    while node != "source":
        path.append((came[node], node))
        node = came[node]
    return path
