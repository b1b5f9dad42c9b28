"""Live averages of every deployment, shared by all processes: how long a call takes and how many tokens.

They decide nothing about limits; they make plans and token estimates better. What is learned: the ratio of the input
tokens a provider counts to our guess from characters, and how long outputs get lately.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import redis

from app.gates.scripts import Clock, Lua, reaching_redis, stem

IDLE_S = 300
"""After so long without a call a server may have unloaded the model: Ollama's ``keep_alive`` is five minutes unless
told otherwise (its FAQ), and serverless vendors scale to zero after a few minutes, too."""
_FIELDS = ["calls", "latency_ms", "tokens", "input", "guessed", "high"]


@dataclass(frozen=True, slots=True)
class Pulse:
    """Averages over about the last 100 to 200 calls. Without samples: zeros, and a ratio of 1."""

    latency_ms: float = 0.0
    tokens_per_call: float = 0.0
    """Input and output together."""
    input_ratio: float = 1.0
    """Input tokens as the provider counts them, over our guess."""
    output_high: int = 0
    """The most output tokens of a call lately; sinks slowly when outputs get shorter."""
    samples: int = 0


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
        calls: int,
        latency_ms_sum: int,
        tokens_sum: int,
        input_tokens_sum: int = 0,
        guessed_input_sum: int = 0,
        output_tokens_max: int = 0,
    ) -> None:
        """``calls`` of one task kind have completed at deployment ``name``; sums are over these calls."""
        if calls < 1:
            raise ValueError("no calls to observe")
        self._observe(
            [stem(f"pulse:{name}")],
            *(kind, calls, latency_ms_sum, tokens_sum, input_tokens_sum, guessed_input_sum, output_tokens_max),
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
            name: of_kind if of_kind.samples else of_all
            for name, of_kind, of_all in zip(names, pulses[::2], pulses[1::2], strict=True)
        }


def _pulse(reply: list[bytes | str | None]) -> Pulse:
    calls, latency_ms, tokens, counted, guessed, high = (int(field or 0) for field in reply)
    if not calls:
        return Pulse()
    return Pulse(latency_ms / calls, tokens / calls, counted / guessed if guessed and counted else 1.0, high, calls)
