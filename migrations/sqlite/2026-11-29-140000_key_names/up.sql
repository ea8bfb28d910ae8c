-- What the operator calls a key, so that the audit log can name it.
ALTER TABLE api_keys ADD COLUMN name TEXT;
