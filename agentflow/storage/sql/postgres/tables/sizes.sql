-- Rows as the statistics have them; bytes with indexes and large values.
SELECT relname AS name, CAST(GREATEST(reltuples, pg_stat_get_live_tuples(oid), 0) AS BIGINT) AS rows, pg_total_relation_size(oid) AS bytes
FROM pg_class
WHERE relkind = 'r' AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
ORDER BY bytes DESC, name;
