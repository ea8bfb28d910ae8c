-- A new store in rehearsal is paused until its seller lets it go live.
ALTER TABLE stores ADD COLUMN rehearsal BOOLEAN NOT NULL DEFAULT FALSE;
