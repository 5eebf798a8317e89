DELETE FROM rungs WHERE waitpoint = :waitpoint;
