"""The states of the ledger's rows, and beside each the states it may turn into. The database refuses the others."""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    RUNNING = "running"  # → paused, done, cancelled
    PAUSED = "paused"  # → running, done, cancelled
    DONE = "done"  # → running (retry of what failed)
    CANCELLED = "cancelled"  # → running (retry of what was cancelled)


class ItemState(StrEnum):
    READY = "ready"  # in the yard → planned, decided (overdue or cancelled before it left), double (at the door)
    PLANNED = "planned"  # in a chunk → decided
    DECIDED = "decided"  # → ready, double (retry on request; the decision before is kept in the history)
    DOUBLE = "double"  # asks the same as an item before it, and is decided with that one → decided


class ChunkState(StrEnum):
    OPEN = "open"  # → parked, done
    PARKED = "parked"  # waits for the fleet → open, done
    DONE = "done"


class AskState(StrEnum):
    SENT = "sent"  # a bell was rung for it → running, done (cancelled before it began)
    RUNNING = "running"  # under a worker's lease → done, sent (the lease ran out or the worker drained)
    DONE = "done"


class AttemptState(StrEnum):
    OPEN = "open"  # written before the call → answered, failed, ambiguous, unsent
    ANSWERED = "answered"
    FAILED = "failed"
    AMBIGUOUS = "ambiguous"  # nobody knows whether the call was made; possibly paid
    UNSENT = "unsent"  # surely never made; costs nothing


class EditionState(StrEnum):
    OPEN = "open"  # being made → made
    MADE = "made"  # its document is fixed for good, and goes out → published
    PUBLISHED = "published"  # every target has it, or was given up


TRANSITIONS: dict[str, tuple[type[StrEnum], set[tuple[str, str]]]] = {
    "jobs": (
        JobState,
        {
            ("running", "paused"),
            ("running", "done"),
            ("running", "cancelled"),
            ("paused", "running"),
            ("paused", "done"),
            ("paused", "cancelled"),
            ("done", "running"),
            ("cancelled", "running"),
        },
    ),
    "items": (
        ItemState,
        {
            ("ready", "planned"),
            ("ready", "decided"),
            ("planned", "decided"),
            ("decided", "ready"),
            ("ready", "double"),
            ("double", "decided"),
            ("decided", "double"),
        },
    ),
    "chunks": (
        ChunkState,
        {("open", "parked"), ("open", "done"), ("parked", "open"), ("parked", "done")},
    ),
    "asks": (
        AskState,
        {("sent", "running"), ("sent", "done"), ("running", "done"), ("running", "sent")},
    ),
    "attempts": (
        AttemptState,
        {("open", "answered"), ("open", "failed"), ("open", "ambiguous"), ("open", "unsent")},
    ),
    "editions": (
        EditionState,
        {("open", "made"), ("made", "published")},
    ),
}
