"""The provider's own books: one row a call, and sums by provider, model and key.

Rows stand in flat arrays (about 90 bytes a call with its reference), so half a million calls fit in some 50 MB.
A row is written when the call is over, so reading on from the last sequence number never misses one.
"""

from __future__ import annotations

import hashlib
from array import array
from dataclasses import dataclass
from typing import TypedDict, TypeVar

CLIENT_GONE = 1
UNREADABLE = 2


@dataclass(slots=True)
class Totals:
    answered: int = 0
    """Calls with status 200. All are billed but for a page of HTML, which a proxy sent."""
    refused: int = 0
    """429."""
    failed: int = 0
    """Everything else, connections closed without an answer among them."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    money_micro: int = 0
    client_gone: int = 0
    """Answered calls whose client had left before the answer was sent."""
    unreadable: int = 0
    """Answered calls whose body was spoilt or cut on the way out, so the client could not learn the usage."""

    def add(self, status: int, prompt: int, completion: int, money: int, flags: int) -> None:
        if status == 200:
            self.answered += 1
            self.client_gone += flags & CLIENT_GONE
            self.unreadable += (flags & UNREADABLE) >> 1
        elif status == 429:
            self.refused += 1
        else:
            self.failed += 1
        self.prompt_tokens += prompt
        self.completion_tokens += completion
        self.money_micro += money

    def as_dict(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in self.__slots__}


class CallRow(TypedDict):
    seq: int
    arrived_at: float
    provider: str
    model: str
    key: str
    status: int
    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    money_micro: int
    request_ref: str
    client_gone: bool
    unreadable: bool
    effect: str


def key_mark(key: str) -> str:
    """What the books show of a key: the first 8 hex digits of its SHA-256, ``-`` for none."""
    return hashlib.sha256(key.encode()).hexdigest()[:8] if key else "-"


class Names:
    """Names to small numbers and back."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, name: str) -> int:
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = len(self.names)
            self.names.append(name)
        return number


_Name = TypeVar("_Name")


def _kept(sums: dict[_Name, Totals], name: _Name) -> Totals:
    totals = sums.get(name)
    if totals is None:
        totals = sums[name] = Totals()
    return totals


class Books:
    def __init__(self) -> None:
        self.total = Totals()
        self.providers: dict[str, Totals] = {}
        self.models: dict[tuple[str, str], Totals] = {}
        self.keys: dict[str, Totals] = {}
        self.provider_keys: dict[tuple[str, str], Totals] = {}
        self._names = Names()
        self._arrived = array("d")
        self._provider = array("I")
        self._model = array("I")
        self._key = array("I")
        self._status = array("h")
        self._prompt = array("I")
        self._completion = array("I")
        self._reasoning = array("I")
        self._money = array("Q")
        self._flags = array("B")
        self._effect = array("I")
        self._refs = bytearray()
        self._ref_ends = array("Q")

    def __len__(self) -> int:
        return len(self._arrived)

    def record(
        self,
        *,
        arrived_at: float,
        provider: str,
        model: str,
        key: str,
        status: int,
        prompt_tokens: int = 0,
        completion_tokens: int = 0,
        reasoning_tokens: int = 0,
        money_micro: int = 0,
        request_ref: str = "",
        flags: int = 0,
        effect: str = "",
    ) -> None:
        """Write one call down. ``arrived_at`` is seconds since the epoch; ``key`` is a mark, never the key.

        ``reasoning_tokens`` are part of ``completion_tokens``. ``status`` 0: closed without a response. ``effect``
        names what decided the call: a kind of weather, or ``limit:<rule>`` for the provider's own limits.
        """
        self.total.add(status, prompt_tokens, completion_tokens, money_micro, flags)
        for totals in (
            _kept(self.providers, provider),
            _kept(self.models, (provider, model)),
            _kept(self.keys, key),
            _kept(self.provider_keys, (provider, key)),
        ):
            totals.add(status, prompt_tokens, completion_tokens, money_micro, flags)
        number = self._names.number
        self._arrived.append(arrived_at)
        self._provider.append(number(provider))
        self._model.append(number(model))
        self._key.append(number(key))
        self._status.append(status)
        self._prompt.append(prompt_tokens)
        self._completion.append(completion_tokens)
        self._reasoning.append(reasoning_tokens)
        self._money.append(money_micro)
        self._flags.append(flags)
        self._effect.append(number(effect))
        self._refs += request_ref.encode()
        self._ref_ends.append(len(self._refs))

    def calls(self, after: int, limit: int) -> list[CallRow]:
        """Rows with a sequence number above ``after`` (the first is 1), at most ``limit``, in order."""
        return [self._row(index) for index in range(max(0, after), min(len(self), max(0, after) + limit))]

    def _row(self, index: int) -> CallRow:
        names = self._names.names
        start = self._ref_ends[index - 1] if index else 0
        return {
            "seq": index + 1,
            "arrived_at": self._arrived[index],
            "provider": names[self._provider[index]],
            "model": names[self._model[index]],
            "key": names[self._key[index]],
            "status": self._status[index],
            "prompt_tokens": self._prompt[index],
            "completion_tokens": self._completion[index],
            "reasoning_tokens": self._reasoning[index],
            "money_micro": self._money[index],
            "request_ref": self._refs[start : self._ref_ends[index]].decode(),
            "client_gone": bool(self._flags[index] & CLIENT_GONE),
            "unreadable": bool(self._flags[index] & UNREADABLE),
            "effect": names[self._effect[index]],
        }

    def usage(self, since: float, until: float) -> dict[str, dict[str, int]]:
        """Totals by ``provider/model`` of the calls that arrived in [since, until), epoch seconds."""
        sums: dict[str, Totals] = {}
        names = self._names.names
        for index, arrived in enumerate(self._arrived):
            if since <= arrived < until:
                name = f"{names[self._provider[index]]}/{names[self._model[index]]}"
                sums.setdefault(name, Totals()).add(
                    self._status[index],
                    self._prompt[index],
                    self._completion[index],
                    self._money[index],
                    self._flags[index],
                )
        return {name: totals.as_dict() for name, totals in sums.items()}
