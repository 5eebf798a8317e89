INSERT INTO calls (budget, run, step, epoch, tokens, cost) VALUES (:budget, :run, :step, :epoch, :tokens, :cost)
ON CONFLICT (budget, run, step) DO UPDATE SET epoch = excluded.epoch, tokens = excluded.tokens, cost = excluded.cost, kept = 0;
