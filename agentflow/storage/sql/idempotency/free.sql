DELETE FROM idempotency WHERE key = :key AND owner = :owner;
