"""An edition rung for by two beats and made by two press rooms, while processes are killed and providers away."""

from __future__ import annotations

import random

from bench import press
from bench.press import Scenario


def test_a_date_has_one_edition_on_time_while_processes_are_killed_and_every_provider_is_away() -> None:
    with press.rig(latency_ms=400.0) as rig:
        press.start_press(rig)
        result = press.play(rig, Scenario("kills and down", kills=True, down=(0.0, 0.25)), 0.6, random.Random(7))
        assert result.good, result
        assert result.killed >= 2
        assert result.articles + result.briefs + result.headlines == 12
