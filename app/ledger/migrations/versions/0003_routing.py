"""Routing, votes that count, learning: terms and lanes."""

from alembic import op

revision = "0003"
down_revision = "0002"

_CHANGES = """
-- The job's own wishes of those who answer; those that are not its own are left out.
ALTER TABLE jobs ADD COLUMN routing jsonb NOT NULL DEFAULT '{}';

-- Items of one lane travel together; the empty lane is the ordinary one.
ALTER TABLE items ADD COLUMN lane text NOT NULL DEFAULT '';
-- What was found out about it at the door.
ALTER TABLE items ADD COLUMN traits jsonb;
-- Of the normalised text: equal questions of one task have equal digests.
ALTER TABLE items ADD COLUMN digest uuid;

ALTER TABLE chunks ADD COLUMN lane text NOT NULL DEFAULT '';
"""


def upgrade() -> None:
    op.execute(_CHANGES)
