DELETE FROM calls WHERE run = :run AND step = :step AND epoch = :epoch;
