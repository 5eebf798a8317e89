-- Keep the rows that migrations have written, for `empty.sql` to put back.
CREATE SCHEMA made;
DO $$
DECLARE
  found text;
  filled boolean;
BEGIN
  FOR found IN SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public' LOOP
    EXECUTE 'SELECT EXISTS (SELECT FROM ' || found || ')' INTO filled;
    IF filled THEN
      EXECUTE 'CREATE TABLE made.' || found || ' AS TABLE ' || found;
    END IF;
  END LOOP;
END $$;
