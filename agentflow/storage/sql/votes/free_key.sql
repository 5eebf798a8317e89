UPDATE votes SET key = NULL WHERE waitpoint = :waitpoint AND seq = :seq;
