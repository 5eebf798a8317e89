INSERT INTO asking (waitpoint, run, family, same, held, created_at) VALUES (:waitpoint, :run, :family, :same, :held, :now);
