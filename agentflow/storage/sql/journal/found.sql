SELECT epoch, kind, step FROM journal WHERE run = :run AND seq = :seq;
