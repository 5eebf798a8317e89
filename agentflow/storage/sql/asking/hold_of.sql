UPDATE families SET id = id WHERE id = (SELECT family FROM asking WHERE waitpoint = :waitpoint) RETURNING id;
