-- Adds messages, in their order, behind number `after`.
INSERT INTO messages (thread, seq, run_id, body, created_at) SELECT :thread, :after + key + 1, :run_id, value, :now FROM json_each(:bodies);
