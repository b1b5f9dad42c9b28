"""Every error Switchyard raises on purpose.

    SwitchyardError
    ├── UsageError            the caller asked for something that cannot be (exit code 2)
    │   ├── FleetError        the fleet file is wrong; names line, key, nearest known key
    │   ├── PaperError        newspaper.toml is wrong; likewise
    │   ├── RecipeError       no such strategy, or a parameter out of range
    │   ├── InputError        a row or option of a submitted job is wrong; names the line
    │   ├── NotFound          no such job or item
    │   └── Conflict          same idempotency key, other body; or a state that forbids the request
    └── ServiceMissing        Postgres, Redis or a binary is not there (exit code 3)

What a *provider* does wrong is never an exception: it is a ``Failure`` (``app.core.values``).
"""


class SwitchyardError(Exception):
    """Something went wrong that has a known name."""

    def __init__(self, message: str | None = None, *, hint: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").splitlines()[0])
        self.hint = hint
        """What to do next, one line for a person."""


class UsageError(SwitchyardError):
    """The request cannot be carried out as it stands."""


class FleetError(UsageError):
    """The fleet file is not valid."""


class PaperError(UsageError):
    """The newspaper's file is not valid."""


class RecipeError(UsageError):
    """No such recipe."""


class InputError(UsageError):
    """The submitted input is not valid."""


class NotFound(UsageError):
    """There is no such thing."""


class Conflict(UsageError):
    """The request contradicts what is already stored."""


class ServiceMissing(SwitchyardError):
    """A service that Switchyard needs does not answer."""
