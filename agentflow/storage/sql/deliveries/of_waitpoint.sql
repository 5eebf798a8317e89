SELECT * FROM deliveries WHERE waitpoint = :waitpoint ORDER BY seq;
