INSERT INTO chores (name, owner, until, retention) VALUES (:name, :owner, :until, :retention)
ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until = excluded.until, retention = excluded.retention
WHERE chores.until <= :now
RETURNING position;
