SELECT hash, signing FROM callbacks WHERE waitpoint = :waitpoint;
