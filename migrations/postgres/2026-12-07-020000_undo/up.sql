-- Units of the SKU that events have reported as sold by the listing's store, ever; and how many those were when it was last learned
-- what the listing shows. An undo takes off what has been sold since by their difference, whatever events are still kept.
ALTER TABLE listings ADD COLUMN sold BIGINT NOT NULL DEFAULT 0;
ALTER TABLE listings ADD COLUMN sold_when_shown BIGINT NOT NULL DEFAULT 0;
-- Units of the listing by which confirmed increases have raised it, ever.
ALTER TABLE listings ADD COLUMN increased BIGINT NOT NULL DEFAULT 0;
-- The newest confirmed overwrite; NULL before the first, and after the listing was paired with another SKU.
ALTER TABLE listings ADD COLUMN set_by BYTEA;
-- Of an overwrite of a run: what its listing showed before, and what `sold` and `increased` were then. JSON; NULL where that is not known.
ALTER TABLE pushes ADD COLUMN replaced TEXT;
-- The same of each overwrite of a pack: a JSON list of lists, null for one of which it is not known.
ALTER TABLE push_packs ADD COLUMN replaced TEXT;
-- Of an overwrite of an undo: what it takes back, and how its number came about. JSON.
ALTER TABLE pushes ADD COLUMN undo TEXT;
-- The run that this one undoes. Such a run has the kind 'manual' and the filter of a run without listings, so that a former version
-- can read it and sends nothing for it.
ALTER TABLE sync_runs ADD COLUMN undoes BYTEA;
-- The run that has undone this one.
ALTER TABLE sync_runs ADD COLUMN undone_by BYTEA;
