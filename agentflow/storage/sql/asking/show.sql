UPDATE asking SET held = NULL WHERE waitpoint = :waitpoint;
