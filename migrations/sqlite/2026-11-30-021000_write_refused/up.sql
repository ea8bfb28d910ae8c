-- The store has refused a write: only an accepted write, or somebody who changes something, proves that it may be written to again.
ALTER TABLE stores ADD COLUMN write_refused BOOLEAN NOT NULL DEFAULT FALSE;
