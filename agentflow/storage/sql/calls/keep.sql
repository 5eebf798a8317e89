UPDATE calls SET kept = 1 WHERE run = :run AND step = :step AND epoch = :epoch;
