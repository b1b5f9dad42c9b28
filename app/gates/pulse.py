"""Live averages of every deployment, shared by all processes: how long a call takes and how many tokens.

They decide nothing about limits; they make plans and token estimates better. What is learned: the ratio of the input
tokens a provider counts to our guess from characters, and how long outputs and latencies get lately. It may be lost
with Redis: then it is learned again, and until then the most that a call may take is reserved for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import redis

from app.gates.scripts import Clock, Lua, reaching_redis, stem

IDLE_S = 300
"""After so long without a call a server may have unloaded the model: Ollama's ``keep_alive`` is five minutes unless
told otherwise (its FAQ), and serverless vendors scale to zero after a few minutes, too."""
LEARNED_AFTER = 20
"""Calls after which percentiles are told."""
_FIELDS = ["calls", "latency_ms", "tokens", "input", "guessed", "output_seen", "output_p95", "latency_p95"]


@dataclass(frozen=True, slots=True)
class Pulse:
    """Averages over about the last 100 to 200 calls. Without samples: zeros, and a ratio of 1."""

    latency_ms: float = 0.0
    tokens_per_call: float = 0.0
    """Input and output together."""
    input_ratio: float = 1.0
    """Input tokens as the provider counts them, over our guess."""
    output_p95: int | None = None
    """Output tokens, reasoning included, that 95 of 100 calls of this kind do not pass, up to 9 % too high. None until
    20 calls of the very kind were seen: other kinds say nothing about it."""
    samples: int = 0
    latency_p95_ms: float = 0.0
    """Likewise of the latency, of whichever kind; 0 where nothing is known."""


class Pulses:
    """Reads and writes the averages. Raises ``ServiceMissing`` where Redis does not answer."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._observe = Lua(client, "pulse", Clock(client))

    def observe(
        self,
        name: str,
        kind: str,
        *,
        latencies_ms: Sequence[int],
        outputs: Sequence[int] = (),
        tokens_sum: int,
        input_tokens_sum: int = 0,
        guessed_input_sum: int = 0,
    ) -> None:
        """Calls of one task kind have completed at deployment ``name``: how long each took, how many tokens each put
        out (reasoning included; nothing where that is no example for others), and sums over all of them."""
        if not latencies_ms:
            raise ValueError("no calls to observe")
        self._observe(
            [stem(f"pulse:{name}")],
            *(kind, len(latencies_ms), tokens_sum, input_tokens_sum, guessed_input_sum),
            ",".join(str(max(0, output)) for output in outputs),
            ",".join(str(max(0, latency)) for latency in latencies_ms),
        )

    def wakes(self, name: str) -> bool:
        """A call is about to be made: is it the first after ``IDLE_S`` without any? True for one asker only.

        Warning: where Redis has lost its data everybody is thought idle, once.
        """
        with reaching_redis():
            return self._client.set(stem(f"pulse:{name}") + ":awake", 1, ex=IDLE_S, get=True) is None

    def estimates(self, names: Sequence[str], kind: str) -> dict[str, Pulse]:
        """What to expect of a call of this kind, in one trip. A kind not seen yet is told from all kinds together."""
        with reaching_redis():
            pipe = self._client.pipeline(transaction=False)
            for name in names:
                pipe.hmget(stem(f"pulse:{name}") + f":{kind}", _FIELDS)
                pipe.hmget(stem(f"pulse:{name}") + ":all", _FIELDS)
            replies = pipe.execute()
        pulses = [_pulse(reply) for reply in replies]
        return {
            name: of_kind if of_kind.samples else replace(of_all, output_p95=None)
            for name, of_kind, of_all in zip(names, pulses[::2], pulses[1::2], strict=True)
        }


def _pulse(reply: list[bytes | str | None]) -> Pulse:
    calls, latency_ms, tokens, counted, guessed, outputs, output_p95, latency_p95 = (int(field or 0) for field in reply)
    if not calls:
        return Pulse()
    return Pulse(
        latency_ms / calls,
        tokens / calls,
        counted / guessed if guessed and counted else 1.0,
        output_p95 if outputs >= LEARNED_AFTER else None,
        calls,
        float(latency_p95),
    )
