SELECT id, cancel_reason FROM runs WHERE worker = :worker AND cancel_reason IS NOT NULL;
