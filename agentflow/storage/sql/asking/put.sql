INSERT INTO asking (waitpoint, run, family, same, held, created_at, span) VALUES (:waitpoint, :run, :family, :same, :held, :now, :span);
