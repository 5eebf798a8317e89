SELECT waitpoint, seq FROM rungs WHERE due_at <= :now ORDER BY due_at, waitpoint, seq LIMIT :limit;
