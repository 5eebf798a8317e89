WITH given AS (
  SELECT * FROM unnest(:name::text[], :value::bigint[]) WITH ORDINALITY AS given (name, value, at)
), put AS (
  INSERT INTO ledger_entry (name, value) SELECT name, value FROM given RETURNING name, value
)
SELECT given.at, put.name, put.value FROM put JOIN given USING (name)
