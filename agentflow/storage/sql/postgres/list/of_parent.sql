-- The order by both columns lets no plan but the index's look right, whatever the statistics say.
SELECT key FROM runs
WHERE (parent, key) < ((SELECT key FROM runs WHERE id = :parent), CAST(:before AS BIGINT)) AND parent >= (SELECT key FROM runs WHERE id = :parent)
ORDER BY parent DESC, key DESC LIMIT :look;
