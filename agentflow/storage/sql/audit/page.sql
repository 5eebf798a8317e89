SELECT audit.*, before.hash AS before FROM audit LEFT JOIN audit AS before ON before.place = audit.place - 1
WHERE audit.place > :after ORDER BY audit.place LIMIT :limit;
