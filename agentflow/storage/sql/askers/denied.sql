SELECT denied_at, amount FROM askers WHERE budget = :budget AND run = :run AND denied_at IS NOT NULL;
