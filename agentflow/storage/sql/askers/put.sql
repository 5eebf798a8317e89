INSERT INTO askers (budget, run, question) VALUES (:budget, :run, :question)
ON CONFLICT (budget, run) DO UPDATE SET question = excluded.question, denied_at = NULL, amount = NULL;
