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

-- Packs: items that go into one call at most; 0 until a trial has found out how many.
ALTER TABLE jobs ADD COLUMN pack smallint NOT NULL DEFAULT 1;
ALTER TABLE jobs ADD COLUMN pack_trial jsonb;
ALTER TABLE asks ADD COLUMN pack smallint NOT NULL DEFAULT 1;
-- A call that carries several items has them here, in the order in which they share its cost, and no item_id.
ALTER TABLE attempts ADD COLUMN item_ids bigint[];
CREATE UNIQUE INDEX attempts_packs ON attempts (job_id, chunk_id, seat, (item_ids[1]), try)
    WHERE item_ids IS NOT NULL;
-- How many of the calls were packed: those are other items' calls, too.
ALTER TABLE decisions ADD COLUMN packed smallint NOT NULL DEFAULT 0;
-- Its calls take longer than they mostly do: who hedges asks somebody else beside it.
ALTER TABLE asks ADD COLUMN slow boolean NOT NULL DEFAULT false;
"""

_SAMENESS = """
-- Of all that is asked beside the item's text; equal for one team: votes of one job are votes in the other.
ALTER TABLE jobs ADD COLUMN question_hash uuid;
-- Are identical items asked once, and votes of others taken that were cast meanwhile?
ALTER TABLE jobs ADD COLUMN dedupe boolean NOT NULL DEFAULT true;
-- Votes so many seconds older than the job count as well.
ALTER TABLE jobs ADD COLUMN reuse_votes_s double precision;
CREATE INDEX jobs_question ON jobs (team, question_hash);

-- The item before it in the job that asks the same, and how alike they are where they are not identical.
ALTER TABLE items ADD COLUMN same_as bigint;
ALTER TABLE items ADD COLUMN similarity real;
CREATE INDEX items_digest ON items (digest) WHERE digest IS NOT NULL;
CREATE INDEX items_same_as ON items (same_as) WHERE same_as IS NOT NULL;
ALTER TABLE items DROP CONSTRAINT items_state_known;
ALTER TABLE items ADD CONSTRAINT items_state_known CHECK (state IN ('ready', 'planned', 'decided', 'double'));
DROP TRIGGER items_transition ON items;
CREATE TRIGGER items_transition BEFORE UPDATE OF state ON items FOR EACH ROW
WHEN (OLD.state <> NEW.state AND (OLD.state, NEW.state) NOT IN (
    ('ready', 'planned'), ('ready', 'decided'), ('planned', 'decided'), ('decided', 'ready'),
    ('ready', 'double'), ('double', 'decided'), ('decided', 'double')))
EXECUTE FUNCTION refuse_transition();
"""

_CHOICES = """
-- How the recipe of an item is chosen where the job has several: an experiment, a bandit, a guarantee. The state that
-- changes with it (a winner, a stop) stands in it, too.
ALTER TABLE jobs ADD COLUMN choice jsonb;
CREATE INDEX jobs_choice ON jobs (team, use_case) WHERE choice IS NOT NULL;

-- A guarantee's blocks: what their audit heard, by votes for the cheap answer, and what was ruled for the rest of them.
CREATE TABLE guarantee_blocks (
    job_id text NOT NULL REFERENCES jobs (id),
    block smallint NOT NULL,
    heard integer[] NOT NULL,
    differ integer[] NOT NULL,
    threshold double precision NOT NULL,
    audited integer NOT NULL,
    lost integer NOT NULL,
    bound integer NOT NULL,
    stopped boolean NOT NULL,
    ruled_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (job_id, block)
);

-- What a call was made for, where the job has a choice, is what was chosen for its chunk.
CREATE OR REPLACE VIEW v_spend AS
SELECT a.id AS attempt_id, coalesce(j.team, '-') AS team, coalesce(j.use_case, '-') AS use_case,
       coalesce(j.tier, '-') AS tier,
       coalesce(split_part(coalesce(CASE WHEN j.choice IS NOT NULL THEN
           (SELECT c.plan ->> 'recipe' FROM chunks c WHERE c.id = a.chunk_id) END, j.recipe), '@', 1), a.purpose)
           AS strategy,
       a.provider, a.deployment AS model, (a.started_at AT TIME ZONE 'UTC')::date AS day, a.state AS outcome,
       a.input_tokens + a.cached_tokens AS input_tokens, a.output_tokens + a.reasoning_tokens AS output_tokens,
       a.cost_micro
FROM attempts a LEFT JOIN jobs j ON j.id = a.job_id;

-- Bandits that are turned off: their best arm is taken, and nothing is explored.
CREATE TABLE frozen_bandits (
    team text NOT NULL,
    use_case text NOT NULL,
    frozen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (team, use_case)
);
"""

_LEARNING = """
-- What was said of an item's answer, however late: that it was accepted or rejected, or which label is the true one.
-- The last one counts, the others are kept.
CREATE TABLE outcomes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id text NOT NULL,
    item_id bigint NOT NULL REFERENCES items (id),
    said text NOT NULL CONSTRAINT outcomes_said_known CHECK (said IN ('accepted', 'rejected', 'label')),
    answer text NOT NULL,
    door text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX outcomes_item ON outcomes (item_id, id);
CREATE INDEX outcomes_job ON outcomes (job_id, id);

-- What is known to be true of an item: by its last outcome, else by its true label. ``barred``: known to be wrong.
CREATE VIEW v_truths AS
SELECT i.id AS item_id, i.job_id,
       CASE o.said WHEN 'rejected' THEN nullif(i.gold, o.answer) ELSE coalesce(o.answer, i.gold) END AS truth,
       CASE o.said WHEN 'rejected' THEN o.answer END AS barred,
       CASE WHEN o.said IS NULL OR (o.said = 'rejected' AND i.gold <> o.answer) THEN 'gold' ELSE 'outcomes' END
           AS source
FROM items i LEFT JOIN LATERAL (
    SELECT said, answer FROM outcomes WHERE item_id = i.id ORDER BY id DESC LIMIT 1
) AS o ON true
WHERE i.gold IS NOT NULL OR o.said IS NOT NULL;

-- How often a deployment was right for a use case (all of one kind of task: team and use case are '*'), by the true
-- label ('': all). Questions and those answered rightly, by source; evidence as core.accuracy has it.
CREATE TABLE skills (
    team text NOT NULL,
    use_case text NOT NULL,
    kind text NOT NULL,
    deployment text NOT NULL,
    label text NOT NULL,
    outcomes double precision NOT NULL,
    outcomes_right double precision NOT NULL,
    gold double precision NOT NULL,
    gold_right double precision NOT NULL,
    agreement double precision NOT NULL,
    agreement_right double precision NOT NULL,
    evidence double precision[] NOT NULL,
    n double precision NOT NULL,
    accuracy double precision,
    low double precision NOT NULL,
    high double precision NOT NULL,
    learned_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (team, use_case, kind, deployment, label)
);

-- Deployments that were wrong together, as core.kinship measures it, within one use case.
CREATE TABLE kinship (
    team text NOT NULL,
    use_case text NOT NULL,
    kind text NOT NULL,
    first text NOT NULL,
    second text NOT NULL,
    n integer NOT NULL,
    either integer NOT NULL,
    same integer NOT NULL,
    kinship double precision NOT NULL,
    low double precision NOT NULL,
    clones boolean NOT NULL,
    learned_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (team, use_case, kind, first, second)
);

-- When a use case was last learned from, and from how much.
CREATE TABLE schooled (
    team text NOT NULL,
    use_case text NOT NULL,
    kind text NOT NULL,
    learned_at timestamptz NOT NULL,
    votes integer NOT NULL,
    PRIMARY KEY (team, use_case, kind)
);
"""


def upgrade() -> None:
    op.execute(_CHANGES)
    op.execute(_SAMENESS)
    op.execute(_CHOICES)
    op.execute(_LEARNING)
