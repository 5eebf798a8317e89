-- What holds for a prompt: its own, before that of all.
SELECT * FROM prompt_policies WHERE env = :env AND prompt IN (:prompt, '*') ORDER BY CASE WHEN prompt = '*' THEN 1 ELSE 0 END LIMIT 1;
