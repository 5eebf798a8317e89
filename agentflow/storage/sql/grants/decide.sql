UPDATE grants SET amount = :amount, denied = :denied, question = NULL, decided_at = :now WHERE budget = :budget;
