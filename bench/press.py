"""The newspaper under fire: one edition a date, on time, whatever is killed, gone or doubled.

    python -m bench.press [--minutes 1.5] [--only kills] [--seed 0] [--json]

Each scenario is a paper of its own with a date's edition due in a moment, rung for by two beats, made by two press
rooms, with simulated journalists. Looked at afterwards: how many editions the date has, when it was made against its
deadline, what it holds, and whether the provider's books and the ledger agree.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import random
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

from app.registry import paperfile
from bench import audit
from bench.harness import NEWSPAPER, ROOT, Rig, provider

_AHEAD_S = 6.0
_GRACE_S = 20.0
_KILL_EVERY_S = 4.0
_POLL_S = 0.25
# Slow models: an edition takes half of its time, so that what happens meanwhile happens to it.
_LATENCY_MS = 3000.0
_KILLED = ("press-1", "press-2", "control", "worker-1", "worker-2", "beat", "beat-2", "ledger")

_SPECIMEN = ROOT / "app" / "specimen"
_FEEDS = ("courier.xml", "tide.xml", "business.json", "valley-sport.xml")


@dataclass(frozen=True, slots=True)
class Scenario:
    """``kills``: a process is killed every few seconds, and started again. ``down``: shares of the making's time
    between which no provider answers. ``quota``: from this share on every provider's daily quota is gone."""

    name: str
    kills: bool = False
    down: tuple[float, float] | None = None
    quota: float | None = None


SCENARIOS = (
    Scenario("calm"),
    Scenario("kills", kills=True),
    Scenario("down at first", down=(0.0, 0.4)),
    Scenario("quota gone in the middle", quota=0.25),
    Scenario("down all night", down=(0.0, 9.0)),
    Scenario("kills and down", kills=True, down=(0.1, 0.35)),
)


@dataclass(frozen=True, slots=True)
class Result:
    scenario: str
    editions: int
    state: str
    late_s: float
    """Made after the deadline by so much; negative: before it."""
    articles: int
    briefs: int
    headlines: int
    bulletin: bool
    killed: int
    violations: tuple[str, ...]

    @property
    def good(self) -> bool:
        return self.editions == 1 and self.state == "published" and self.late_s <= 0 and not self.violations


def paper_toml(name: str, at: dt.time, minutes: float) -> str:
    """The desks and some feeds of the specimen, under a name of its own."""
    lines = [
        f'title = "The {name.title()} Courier"', f'name = "{name}"', "words = 60", "stories = 12", "[daily]",
        f"at = {at:%H:%M:%S}", f"minutes = {minutes}", "[publish]", f'folder = "out-{name}"',
    ]  # fmt: skip
    for desk in paperfile.load(_SPECIMEN / NEWSPAPER).desk:
        lines += ["[[desk]]", f'name = "{desk.name}"', f'title = "{desk.title}"']
        lines += [f'description = "{desk.description}"', "most = 3"]
    for feed in _FEEDS:
        lines += ["[[feed]]", f'name = "{feed}"', f'path = "{feed}"']
    return "\n".join(lines) + "\n"


def rig(seed: int = 0, latency_ms: float = _LATENCY_MS) -> Rig:
    rows = [
        {**provider(name, quality=0.5 + n / 20), "capabilities": ["json"]}
        for n, name in enumerate(("one", "two", "three", "four", "five"))
    ]
    feeds = {name: (_SPECIMEN / "feeds" / name).read_text() for name in _FEEDS}
    return Rig(
        rows,
        weather='[answers]\nkind = "journalist"\n',
        workers=2,
        seed=seed,
        latency_ms=latency_ms,
        env={
            "SWITCHYARD_PRESS_EVERY_S": "1", "SWITCHYARD_SWEEP_EVERY_S": "1", "SWITCHYARD_DISPATCH_EVERY_S": "1",
            "SWITCHYARD_HEALTH_EVERY_S": "3", "SWITCHYARD_LEASE_S": "5", "SWITCHYARD_CHUNK_SIZE": "5",
        },
        files={**feeds, NEWSPAPER: paper_toml("unborn", dt.time(0, 0), 1.0)},
    )  # fmt: skip


def start_press(rig: Rig) -> None:
    """A second beat and two press rooms beside the rig's own processes."""
    rig.start("beat-2", "beat")
    for number in (1, 2):
        rig.start(f"press-{number}", "press")
    rig.wait_ready()


def play(rig: Rig, scenario: Scenario, minutes: float, dice: random.Random) -> Result:
    """One edition of a paper of its own, due in a moment."""
    name = scenario.name.replace(" ", "-")
    opens = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(seconds=_AHEAD_S)
    until = opens + dt.timedelta(minutes=minutes)
    names = [row["name"] for row in rig.providers]
    rig.simulator.weather({"event": _events(scenario, names, minutes * 60)})
    (rig.home / "newspaper.new").write_text(paper_toml(name, opens.time(), minutes))
    (rig.home / "newspaper.new").replace(rig.home / NEWSPAPER)
    killed, next_kill = 0, time.monotonic() + _AHEAD_S
    state = ""
    while state != "published" and dt.datetime.now(dt.UTC) < until + dt.timedelta(seconds=_GRACE_S):
        time.sleep(_POLL_S)
        if scenario.kills and time.monotonic() >= next_kill and dt.datetime.now(dt.UTC) < until:
            victim = dice.choice(_KILLED)
            rig.kill(victim)
            rig.restart(victim)
            killed, next_kill = killed + 1, time.monotonic() + _KILL_EVERY_S
        found = rig.query("SELECT state FROM editions WHERE paper = %s", (name,))
        state = found[0][0] if found else ""
    return _result(rig, scenario, name, killed)


def _events(scenario: Scenario, names: list[str], span_s: float) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if scenario.down is not None:
        from_s, to_s = (_AHEAD_S * (share > 0) + share * span_s for share in scenario.down)
        found += [{"kind": "outage", "provider": name, "from_s": from_s, "to_s": to_s} for name in names]
    if scenario.quota is not None:
        from_s = _AHEAD_S + scenario.quota * span_s
        found += [{"kind": "quota", "provider": name, "from_s": from_s} for name in names]
    return found


def _result(rig: Rig, scenario: Scenario, name: str, killed: int) -> Result:
    rows = rig.query(
        "SELECT state, extract(epoch FROM made_at - deadline_at)::float8, document FROM editions WHERE paper = %s",
        (name,),
    )
    violations = list(audit.paid_twice(rig))
    doubled = rig.query("SELECT idempotency_key FROM jobs WHERE team = 'press' GROUP BY 1 HAVING count(*) > 1")
    violations += [f"two jobs of one step: {row[0]}" for row in doubled]
    folders = [path.name for path in (rig.home / f"out-{name}").glob("20*")]
    if len(folders) != len(rows):
        violations.append(f"{len(rows)} editions and the folders {folders}")
    state, late_s, document = rows[0] if rows else ("none", 0.0, None)
    pieces = [piece["form"] for page in (document or {"pages": []})["pages"] for piece in page["pieces"]]
    return Result(
        scenario.name, len(rows), state, round(late_s or 0.0, 1), pieces.count("article"), pieces.count("brief"),
        pieces.count("headline"), bool(document and document["bulletin"]), killed, tuple(map(str, violations)),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.press", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.5, help="that an edition may take")
    parser.add_argument("--only", help="one scenario by its name")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    played = [each for each in SCENARIOS if given.only in (None, each.name)]
    results = []
    with rig(given.seed) as running:
        start_press(running)
        for scenario in played:
            result = play(running, scenario, given.minutes, random.Random(given.seed))
            results.append(result)
            print(
                f"{result.scenario:24} {result.editions} edition, {result.state}, {-result.late_s:.1f} s before its "
                f"deadline: {result.articles} articles, {result.briefs} briefs, {result.headlines} headlines"
                f"{', a bulletin' if result.bulletin else ''}; {result.killed} killed"
                f"{'; ' + '; '.join(result.violations) if result.violations else ''}",
                file=sys.stderr,
                flush=True,
            )
    if given.json:
        print(json.dumps([asdict(each) for each in results], indent=2))
    sys.exit(0 if all(each.good for each in results) else 1)


if __name__ == "__main__":
    main()
