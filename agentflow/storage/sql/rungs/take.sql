DELETE FROM rungs WHERE waitpoint = :waitpoint AND seq = :seq RETURNING target;
