"""The health monitor: who may be seated. Live traffic is proof enough; only a silent deployment is pinged."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import Any

import structlog
from sqlalchemy import Engine

from app.core import pricing, prompts
from app.core.health import Sign, State, in_words, points_to
from app.core.matrix import KEYED, PUTS_OUT
from app.core.values import Answer, Deployment, Failure, FailureKind
from app.gates.breaker import Breaker
from app.gates.limits import Denied, Gates, Grant
from app.gates.pulse import Pulses
from app.ledger import health, journal, keys, upkeep
from app.ledger.health import Finding, Health, Lately, Noted
from app.registry.fleet import Fleet, FleetFile
from app.registry.secrets import api_keys, missing
from app.services import standing
from app.services.calls import Caller, marked_cold
from app.services.keyring import Keyring, Line
from app.services.scopes import capacity, scopes_of
from app.services.warming import Warmer
from app.wire import Heard, Unsent, Wire

log = structlog.get_logger(__name__)

_PING_SHARE_OF_DAY = 0.02
PING_TIMEOUT_S = 20.0
LOST_AFTER_S = 5.0
"""Beyond a ping's timeout: by then whoever made it has closed it, or is gone."""
_TOLD_NOTHING = frozenset({FailureKind.TIMEOUT, FailureKind.INVALID_REQUEST})
"""A ping that failed like this without a finding woke the model, or taught us a word to leave out."""
_ROOM_PATIENCE_S, _ROOM_POLL_S = 10.0, 0.02
"""So long, and so often, the gates are tried for one that needs its ping."""
_MOST_PINGS = 3
"""In one look: one may wake the model, one tells, one confirms."""


@dataclass(slots=True)
class Ping:
    """One on its way. ``number`` counts from 1 within a look."""

    deployment: Deployment
    line: Line
    grant: Grant
    cold: bool
    until: float
    """By the monotonic clock: nothing is waited for beyond."""
    number: int


@dataclass(slots=True)
class Monitor:
    engine: Engine
    fleet: FleetFile
    gates: Gates
    breaker: Breaker
    pulses: Pulses
    wire: Wire
    warmer: Warmer
    keyring: Keyring
    every_s: float
    margin_s: float

    def check(self, *, everyone: bool = False) -> list[Noted]:
        """Look at each deployment once and write down what was found. ``everyone``: ping also the proven ones.

        Live traffic since the last look is judged first. Pinged are those that are down or out and those of which
        nothing was heard; where a ping points to another state a second one confirms it. Pings are calls like any
        other: reserved at the gates, written in the ledger, one of a deployment at a time whoever looks, and but for
        the confirming ones never more than 2 % of a day's quota. One that the gates hold up is not made, and the
        deployment keeps the state it had; for one that nobody may call before it the gates are tried for ten seconds.

        Where nobody at all may be seated, those that only an open breaker shuts are pinged, too, and an answer opens
        them: after a long outage their breakers would stay open for minutes.
        """
        fleet = self.fleet.current()
        deployments = {d.name: d for d in fleet.deployments}
        known = health.current(self.engine)
        lately = health.lately(self.engine, deployments, self.every_s, unseen=True)
        pings = health.pings_today(self.engine)
        becalmed = self._becalmed(deployments, known)
        live: list[Finding] = []
        silent: list[Deployment] = []
        for name, deployment in deployments.items():
            found = None if everyone else _passive(name, known.get(name), lately.get(name))
            if found is not None and (name not in becalmed or found.evidence is not None):
                live.append(found)
            elif _may_ping(deployment, pings.get(name, 0)):
                silent.append(deployment)
        noted = self._note(live)
        busy = {name for name in lately if lately[name].live and name in known and known[name].state.usable} - becalmed
        idle = {d.name for d in silent if d.name not in known or not known[d.name].state.usable}
        for found_out in self._ping_all(fleet, silent, busy, idle, becalmed):
            noted += found_out  # written one by one: a provider that hangs holds up nobody else's seat
        self._ping_keys(fleet)
        return noted

    def _becalmed(self, names: Iterable[str], known: Mapping[str, Health]) -> set[str]:
        """Those that only an open breaker shuts, where nobody may be seated; else none."""
        breakers = self.breaker.states(list(names))
        well = {name for name in breakers if name in known and known[name].state.usable}
        return well if all(breakers[name].state == "open" for name in well) else set()

    def _note(self, findings: Sequence[Finding]) -> list[Noted]:
        return standing.note(self.engine, self.breaker, findings)

    def _ping_all(
        self,
        fleet: Fleet,
        deployments: Sequence[Deployment],
        busy: Collection[str],
        idle: Collection[str],
        becalmed: Collection[str],
    ) -> Iterator[list[Noted]]:
        """``busy``: those with live traffic that is judged by itself; a ping that is answered adds nothing to it.

        ``idle``: those that get no call before a ping. Where others use up what their provider allows, the gates are
        tried for them until something comes free. ``becalmed``: their breakers are opened by an answer.
        """
        self.warmer.warm_fleet(fleet)
        inbox: SimpleQueue[Any] = SimpleQueue()
        flying: dict[int, Ping] = {}
        held: list[Deployment] = []
        for deployment in deployments:
            row = fleet.provider(deployment.provider)
            if without := missing([row]):
                yield self._note([Finding(deployment.name, Sign.REFUSED, f"no key: {without[row.name]}")])
            else:
                held.append(deployment)
        until = time.monotonic() + _ROOM_PATIENCE_S
        while flying or held:
            held = [d for d in held if self._send_or_hold(fleet, d, inbox, flying, wanted=d.name in idle, until=until)]
            if not flying and not held:
                break  # nobody is waited for: the gates, or whoever else looks, let none of them fly
            ends = max((ping.until for ping in flying.values()), default=until) - time.monotonic()
            try:
                attempt_id, heard = inbox.get(timeout=max(0.0, min(ends, _ROOM_POLL_S) if held else ends))
            except Empty:
                if held:
                    continue
                break
            ping = flying.pop(attempt_id)
            finding = self._take_in(ping, attempt_id, heard)
            rekeyed = self._rekeyed(fleet, ping, heard)
            if rekeyed:
                finding = None
            if finding is not None and finding.deployment in busy and finding.evidence in (Sign.ANSWERED, Sign.BUSY):
                finding = replace(finding, evidence=None)
            noted = self._note([finding]) if finding is not None else []
            if finding is not None and finding.evidence is Sign.ANSWERED and finding.deployment in becalmed:
                self.breaker.recover(finding.deployment)
                upkeep.wake_parked(self.engine)
            if ping.number < _MOST_PINGS and (rekeyed or _wants_another(ping, heard, noted)):
                line = self.keyring.lines(fleet, ping.deployment)[0]
                again = self._send(ping.deployment, line, inbox, number=ping.number + 1)
                flying |= again if isinstance(again, dict) else {}
            yield noted

    def _send_or_hold(
        self,
        fleet: Fleet,
        deployment: Deployment,
        inbox: SimpleQueue[Any],
        flying: dict[int, Ping],
        *,
        wanted: bool,
        until: float,
    ) -> bool:
        """The first ping of a look. True: there is no room now, but it is ``wanted``, and may be tried ``until``."""
        sent = self._send(deployment, self.keyring.lines(fleet, deployment)[0], inbox, number=1)
        if not isinstance(sent, Denied):
            flying |= sent
            return False
        if wanted and 0 <= sent.wait_ms < (until - time.monotonic()) * 1000:
            return True
        log.info("no room for a ping", action="health.no_room", rule=sent.rule, wait_ms=sent.wait_ms)
        return False

    def _rekeyed(self, fleet: Fleet, ping: Ping, heard: Heard) -> bool:
        """Was only the key refused, and is there another: a second one, or what has replaced it by now?"""
        result, row = heard.result, fleet.provider(ping.deployment.provider)
        return isinstance(result, Failure) and result.kind in KEYED and self.keyring.refused(row, ping.line.key, result)

    def _ping_keys(self, fleet: Fleet) -> None:
        """One ping with each key that is out, at the first model of its provider."""
        inbox: SimpleQueue[Any] = SimpleQueue()
        for provider, refs in keys.out(self.engine).items():
            deployment = next((d for d in fleet.deployments if d.provider == provider), None)
            if deployment is None:
                continue
            row = fleet.provider(provider)
            for key in (key for key in api_keys(row) if key.ref in refs):
                line = Line(key, scopes_of(fleet, deployment, key.ref), Caller(row, deployment, key))
                sent = self._send(deployment, line, inbox, number=1)
                for attempt_id, ping in sent.items() if isinstance(sent, dict) else ():
                    try:
                        _, heard = inbox.get(timeout=max(0.0, ping.until - time.monotonic()))
                    except Empty:
                        continue
                    self._try_key(ping, attempt_id, heard)

    def _try_key(self, ping: Ping, attempt_id: int, heard: Heard) -> None:
        """Close a ping of a key; one that was answered brings the key back."""
        journal.close(self.engine, journal.ping_parameters(ping.line.caller.closing(attempt_id, heard)))
        if isinstance(heard.result, Unsent):
            self.gates.give_back(ping.grant, calls=1, tokens=ping.grant.tokens)
            return
        tokens = heard.result.usage.total
        self.gates.true_up(ping.grant, calls=1, reserved_tokens=ping.grant.tokens, actual_tokens=tokens)
        provider, ref = ping.deployment.provider, ping.line.ref
        if isinstance(heard.result, Answer) and ref is not None and keys.take_back(self.engine, provider, ref):
            self.keyring.forget()
            log.info("key back", action="key.back", provider=provider, key_ref=ref)

    def _send(
        self, deployment: Deployment, line: Line, inbox: SimpleQueue[Any], *, number: int
    ) -> dict[int, Ping] | Denied:
        """Let one ping fly, if the gates allow it and none of this deployment is under way."""
        request = prompts.ping(deployment)
        tokens = pricing.estimate_input_tokens(request.messages) + request.max_tokens
        asked_at = time.monotonic()
        lease_s = deployment.timeout_s + self.margin_s
        grant = self.gates.reserve(line.scopes, 1, tokens, lease_s=lease_s)
        if isinstance(grant, Denied):
            return grant
        cold = self.pulses.wakes(deployment.name)
        timeout_s = ping_timeout_s(deployment, cold=cold)
        lost_after_s = timeout_s + LOST_AFTER_S
        attempt_id = health.open_ping(self.engine, deployment, tokens, lost_after_s=lost_after_s, key_ref=line.ref)
        if attempt_id is None:
            self.gates.give_back(grant, calls=1, tokens=tokens)
            return {}
        caller = line.caller
        not_after = asked_at + self.margin_s / 2
        self.wire.start([caller.outgoing(attempt_id, request, not_after=not_after, timeout_s=timeout_s)], inbox)
        return {attempt_id: Ping(deployment, line, grant, cold, asked_at + lost_after_s, number)}

    def _take_in(self, ping: Ping, attempt_id: int, heard: Heard) -> Finding | None:
        """Close a ping. None: it says nothing of health."""
        result, name, grant = heard.result, ping.deployment.name, ping.grant
        closing = ping.line.caller.closing(attempt_id, heard)
        journal.close(self.engine, journal.ping_parameters(marked_cold(closing) if ping.cold else closing))
        if isinstance(result, Unsent):
            self.gates.give_back(grant, calls=1, tokens=grant.tokens)
            return None
        self.gates.true_up(grant, calls=1, reserved_tokens=grant.tokens, actual_tokens=result.usage.total)
        if isinstance(result, Answer):
            return self._answered(ping, result, heard.latency_ms)
        said = f"{result.kind.value}: {result.message}"
        if result.kind in (FailureKind.RATE_LIMIT, FailureKind.QUOTA_EXHAUSTED):
            self.gates.hold(f"deployment:{name}", result.retry_after_s or 60.0)
            return Finding(name, Sign.BUSY, said)
        if result.kind is FailureKind.CONTENT_FILTER:
            return Finding(name, Sign.BUSY, said)  # alive: what its filter makes of our words is not its health
        if ping.cold and result.kind is FailureKind.TIMEOUT:
            return None
        if ping.line.caller.yield_to(attempt_id, result):
            return None  # it refused a word of ours, which the next call leaves out
        return Finding(name, Sign.REFUSED if result.kind in PUTS_OUT else Sign.FAILED, said)

    def _answered(self, ping: Ping, answer: Answer, latency_ms: int) -> Finding:
        name = ping.deployment.name
        self.breaker.record(name, 1, 0, capacity=capacity(ping.deployment))
        if ping.cold:
            usual_ms = None
        else:
            usual_ms = latency_ms
            self.pulses.observe(name, "ping", latencies_ms=[latency_ms], tokens_sum=answer.usage.total)
        if "OK" in answer.text.upper():
            return Finding(name, Sign.ANSWERED, latency_ms=usual_ms)
        return Finding(name, Sign.FAILED, f"did not answer OK but {answer.text[:60]!r}", usual_ms)


def ping_timeout_s(deployment: Deployment, *, cold: bool) -> float:
    """A ping is short, and so is our patience; but a local server that loads its model takes as long as any call.

    Ollama, for one, stops loading when the client leaves: impatience would keep it out for ever.
    """
    return deployment.timeout_s if cold and deployment.local else min(deployment.timeout_s, PING_TIMEOUT_S)


def longest_ping_s(deployments: Iterable[Deployment]) -> float:
    """No ping of these is open for longer, unless its process is gone."""
    return max((ping_timeout_s(d, cold=True) for d in deployments), default=PING_TIMEOUT_S) + LOST_AFTER_S


def _passive(name: str, known: Health | None, lately: Lately | None) -> Finding | None:
    """What live traffic says of it; None: it must be pinged."""
    if lately is None or (known is not None and not known.state.usable):
        return None
    state, last_look = (known.state, known.checked_at) if known is not None else (None, None)
    if points_to(state, lately.traffic) is not None:
        return Finding(name, lately.traffic, in_words(lately.traffic), lately.latency_ms, last_look)
    if known is not None and (lately.live or (lately.answered and known.state is State.HEALTHY and not known.leaning)):
        return Finding(name, None)  # what it has done of late is judged already
    return None


def _wants_another(ping: Ping, heard: Heard, noted: Sequence[Noted]) -> bool:
    """A second ping, soon: to confirm a change for the worse or out of down and out, or after one woke the model."""
    if isinstance(heard.result, Failure) and not noted and heard.result.kind in _TOLD_NOTHING:
        return True
    leanings = [(one.known.state, one.known.leaning) for one in noted if one.known.leaning is not None]
    return any(leaning is State.DOWN or state in (State.DOWN, State.OUT) for state, leaning in leanings)


def _may_ping(deployment: Deployment, pings_today: int) -> bool:
    daily = [limits.rpd for limits in (deployment.limits, deployment.provider_limits) if limits.rpd is not None]
    return not daily or pings_today < max(1, int(min(daily) * _PING_SHARE_OF_DAY))
