SELECT seq, kind, step, value, digest, code, attempt, tries, epoch, started_at, ended_at FROM journal WHERE run = :run ORDER BY seq;
