DROP INDEX sync_runs_answer_by;
ALTER TABLE sync_runs DROP COLUMN answer_by;
ALTER TABLE sync_runs DROP COLUMN question;
ALTER TABLE sync_runs DROP COLUMN weighed;
ALTER TABLE sync_settings DROP COLUMN guard_units;
ALTER TABLE sync_settings DROP COLUMN guard_zero_percent;
