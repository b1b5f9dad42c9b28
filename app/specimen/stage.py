"""The stage of the specimen: a newspaper, simulated journalists in mild weather, and a yard with a press."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Self

from app.demo.simulated import SimulatedYard

SPECIMEN = Path(__file__).parent
PAPER = SPECIMEN / "newspaper.toml"
FEEDS = SPECIMEN / "feeds"
# An edition of two minutes cannot wait for bells that ring every ten seconds.
_PACE = {
    "SWITCHYARD_HEALTH_EVERY_S": "5",
    "SWITCHYARD_SWEEP_EVERY_S": "1",
    "SWITCHYARD_DISPATCH_EVERY_S": "1",
    "SWITCHYARD_PRESS_EVERY_S": "1",
    "SWITCHYARD_HORIZON_S": "5",
    # Also what beat opens, and what a reader opens by hand while the stage stands.
    "SWITCHYARD_SPECIMEN": "true",
}


class Specimen(SimulatedYard):
    """``paper``: the file of the newspaper that is made; left out, the shipped one, which is laid into the home with
    its feeds and publishes into ``editions`` there. A paper of one's own is used where it is."""

    def __init__(self, home: Path, paper: Path | None = None) -> None:
        self.paper = (home / PAPER.name if paper is None else paper).absolute()
        self._shipped = paper is None
        super().__init__(
            home,
            fleet=SPECIMEN / "fleet.specimen.toml",
            weather=SPECIMEN / "weather.specimen.toml",
            pace=_PACE | {"SWITCHYARD_NEWSPAPER": str(self.paper)},
            what="a specimen",
        )

    def __enter__(self) -> Self:
        """The weather's clock starts when the yard is up."""
        super().__enter__()
        self.begin()
        return self

    def _furnish(self) -> None:
        if self._shipped:
            shutil.copyfile(PAPER, self.paper)
            shutil.copytree(FEEDS, self.paper.parent / FEEDS.name, dirs_exist_ok=True)
