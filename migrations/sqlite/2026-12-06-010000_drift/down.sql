DROP TABLE drifts;
DROP TABLE drift_checks;
DROP INDEX sync_settings_next_check;
ALTER TABLE sync_settings DROP COLUMN next_check_at;
ALTER TABLE sync_settings DROP COLUMN drift;
