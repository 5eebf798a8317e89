UPDATE askers SET denied_at = :now, amount = :amount WHERE budget = :budget AND question = :question;
