-- Entries from `value` on count no more: an operator had the run go back.
INSERT INTO journal (run, seq, kind, step, value, attempt, tries, epoch, started_at, ended_at)
VALUES (:run, :seq, 'reset', '', :value, :attempt, 0, :epoch, :now, :now);
