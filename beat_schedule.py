"""When, and which bell. Every entry expires before the next one: a backlog of bells helps nobody.

Two beats at once do no harm: every bell may ring twice.
"""

from __future__ import annotations

from typing import Any

from app.settings import Settings


def schedule(settings: Settings) -> dict[str, dict[str, Any]]:
    def every(seconds: float, task: str, queue: str) -> dict[str, Any]:
        return {"task": task, "schedule": seconds, "options": {"queue": queue, "expires": max(seconds, 5.0)}}

    learn = every(settings.learn_every_s, "switchyard.learn", "control")
    press = every(settings.press_every_s, "switchyard.press", "press")
    return {
        **({"learn": learn} if settings.learn else {}),
        **({"press": press} if settings.newspaper is not None else {}),
        "dispatch": every(settings.dispatch_every_s, "switchyard.dispatch", "control"),
        "sweep": every(settings.sweep_every_s, "switchyard.sweep", "control"),
        "health": every(settings.health_every_s, "switchyard.health", "control"),
        "alerts": every(settings.alerts_every_s, "switchyard.alerts", "control"),
        "drain": every(settings.sweep_every_s / 2, "switchyard.drain", "ledger"),
    }
