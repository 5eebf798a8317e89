SELECT id, kind, subject FROM waitpoints WHERE state = 'pending' AND due_at <= :now ORDER BY due_at LIMIT :limit;
