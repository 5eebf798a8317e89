-- An operator decided: entries from `value` on count no more, and code `code` may ask for the others as it likes.
INSERT INTO journal (run, seq, kind, step, value, code, attempt, tries, epoch, started_at, ended_at)
VALUES (:run, :seq, 'reset', '', :value, :code, :attempt, 0, :epoch, :now, :now);
