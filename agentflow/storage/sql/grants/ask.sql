UPDATE grants SET question = :question WHERE budget = :budget;
