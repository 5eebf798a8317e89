-- Make the schema of this installation if there is none. And never queue for long behind those who use a table, since everybody else
-- would queue behind us: the driver tries again.
DO $$
DECLARE
  path TEXT = trim(BOTH '"' FROM current_setting('search_path'));
BEGIN
  IF current_schema() IS NULL AND path ~ '^[a-z_][a-z0-9_]*$' THEN
    EXECUTE format('CREATE SCHEMA IF NOT EXISTS %I', path);
  END IF;
  PERFORM set_config('lock_timeout', '2s', TRUE);
END
$$
