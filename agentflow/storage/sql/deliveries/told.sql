-- Who was told, or is being told.
SELECT DISTINCT channel, address, person FROM deliveries WHERE waitpoint = :waitpoint AND state IN ('pending', 'sent') ORDER BY channel, address;
