-- What an address was told before, the first message first.
SELECT reference FROM deliveries
WHERE waitpoint = :waitpoint AND seq < :seq AND channel = :channel AND address = :address AND state = 'sent'
ORDER BY seq;
