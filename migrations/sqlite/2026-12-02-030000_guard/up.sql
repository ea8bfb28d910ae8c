-- How much a run may change without asking: the largest part of a store's listings that may be set to 0, in percent, and the
-- most units. NULL is no limit.
ALTER TABLE sync_settings ADD COLUMN guard_zero_percent BIGINT DEFAULT 30;
ALTER TABLE sync_settings ADD COLUMN guard_units BIGINT;
-- Whether it is known that the run may begin.
ALTER TABLE sync_runs ADD COLUMN weighed BOOLEAN NOT NULL DEFAULT FALSE;
-- What the run has asked before its first push, and the answer: a JSON object.
ALTER TABLE sync_runs ADD COLUMN question TEXT;
-- Until when it waits for its answer; NULL if it does not wait. Its state is 'running' and it counts as expanded meanwhile,
-- so that a former version neither stumbles over it nor sends anything of it.
ALTER TABLE sync_runs ADD COLUMN answer_by BIGINT;
CREATE INDEX sync_runs_answer_by ON sync_runs (answer_by) WHERE answer_by IS NOT NULL;
