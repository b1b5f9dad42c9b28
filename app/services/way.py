"""The way to the deployment of one ask: what fleet file and keys say of it now, and who lets calls through to it."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError

from app.core.errors import NotFound
from app.core.values import Failure, FailureKind
from app.ledger.journal import TakenAsk
from app.registry.fleet import Fleet
from app.registry.secrets import missing
from app.services.admission import Admission, Refused
from app.services.feedback import Feedback
from app.services.keyring import Line
from app.services.means import Means

GONE = "the deployment is no longer in the fleet file"


class Way:
    """For one ask, which may wait for minutes: all this may change meanwhile.

    Raises ``NotFound`` where the fleet file knows the deployment no longer, and ``DBAPIError``.
    """

    def __init__(self, means: Means, ask: TakenAsk) -> None:
        self._means = means
        self._ask = ask
        self._look_up(means.fleet.current())
        self._local = self.deployment.local
        self._find_lines()

    def keep_up(self) -> Refused | None:
        """What has changed in the fleet file or its keys counts from the next call on.

        Raises ``DBAPIError``.
        """
        fleet = self._means.fleet.current()
        if fleet is not self.fleet:
            try:
                self._look_up(fleet)
            except NotFound:
                return Refused(FailureKind.MODEL_NOT_FOUND, GONE)
            if self._local and not self.deployment.local:
                return Refused(FailureKind.PRIVACY, "the deployment is no longer local")
            if keyless := self.keyless():
                return Refused(FailureKind.AUTH, keyless)
        elif self._means.keyring.usable(self._row) in (self._keys, []):  # an empty key file is just being written
            return None
        self._find_lines()
        return None

    def keyless(self) -> str | None:
        """What is missing where no key is there."""
        without = missing([self._row])
        return f"no key: {without[self._row.name]}" if without else None

    def rekeyed(self, line: Line, failure: Failure) -> bool:
        """Is there another key? Then what follows goes by it."""
        try:
            other = self._means.keyring.refused(self._row, line.key, failure)
            if other:
                self._find_lines()
                if line.ref not in [key.ref for key in self._keys]:
                    self.feedback.shun(line.scopes)
        except DBAPIError:
            return False
        return other

    def _look_up(self, fleet: Fleet) -> None:
        self.deployment = fleet.deployment(self._ask.deployment)
        self._row = fleet.provider(self.deployment.provider)
        self.fleet = fleet
        self.feedback = Feedback(
            self._means.engine,
            self._means.gates,
            self._means.breaker,
            self._means.pulses,
            self._means.learner,
            self._row,
            self.deployment,
            self._ask.task.kind,
        )

    def _find_lines(self) -> None:
        means = self._means
        self._keys = means.keyring.usable(self._row)
        lines = means.keyring.lines(self.fleet, self.deployment)
        self.admission = Admission(
            means.gates, means.warmer, self._ask, self.deployment, means.margin_s, means.patience_s, lines
        )
