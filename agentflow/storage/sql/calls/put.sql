INSERT INTO calls (budget, run, step, epoch) VALUES (:budget, :run, :step, :epoch)
ON CONFLICT (budget, run, step) DO UPDATE SET epoch = excluded.epoch;
