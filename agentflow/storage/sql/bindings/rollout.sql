SELECT * FROM prompt_rollouts WHERE id = :id;
