SELECT worker, COUNT(*) AS runs FROM runs WHERE worker IS NOT NULL GROUP BY worker;
