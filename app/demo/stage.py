"""The stage of the demonstration: twelve simulated vendors in bad weather."""

from __future__ import annotations

from pathlib import Path

from app.demo.simulated import SimulatedYard

DEMO = Path(__file__).parent
HEADLINES = DEMO / "headlines.csv"
# A job of half a minute shows nothing of dispatching if it leaves the yard in one go.
_PACE = {
    "SWITCHYARD_HEALTH_EVERY_S": "3",
    "SWITCHYARD_SWEEP_EVERY_S": "2",
    "SWITCHYARD_DISPATCH_EVERY_S": "1",
    "SWITCHYARD_HORIZON_S": "2",
    "SWITCHYARD_CHUNK_SIZE": "5",
}


class Stage(SimulatedYard):
    def __init__(self, home: Path) -> None:
        super().__init__(
            home, fleet=DEMO / "fleet.demo.toml", weather=DEMO / "weather.toml", pace=_PACE, what="a demonstration"
        )
        # Posted to the simulator, which would look for a relative path where it runs.
        self.weather["answers"]["file"] = str(DEMO / self.weather["answers"]["file"])
