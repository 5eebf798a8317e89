-- Calls of one run that versions of prompts spoke, in their order.
SELECT generations.*, CAST(:run_id AS TEXT) AS run_id FROM generations WHERE run = :run ORDER BY seq, at, id LIMIT :limit;
