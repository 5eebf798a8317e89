SELECT terms FROM budgets WHERE run = :run ORDER BY id;
