"""Which bells beat rings."""

from __future__ import annotations

from pathlib import Path

from app.settings import Settings
from beat_schedule import schedule
from tasks import press
from tasks.app import PRESS, app


def test_the_press_is_rung_where_there_is_a_newspaper_and_only_there() -> None:
    assert "press" not in schedule(Settings(newspaper=None))
    entry = schedule(Settings(newspaper=Path("newspaper.toml"), press_every_s=7))["press"]
    assert entry == {"task": "switchyard.press", "schedule": 7, "options": {"queue": PRESS, "expires": 7}}
    assert press.press.name == entry["task"]
    assert entry["task"] in app.tasks


def test_no_bell_outlives_the_next_one_by_much() -> None:
    for entry in schedule(Settings(newspaper=Path("newspaper.toml"))).values():
        assert entry["options"]["expires"] == max(entry["schedule"], 5)
