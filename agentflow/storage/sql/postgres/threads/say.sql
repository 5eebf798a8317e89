INSERT INTO messages (thread, seq, run_id, body, created_at)
SELECT CAST(:thread AS BIGINT), CAST(:after AS BIGINT) + one.place, CAST(:run_id AS TEXT), one.body, CAST(:now AS BIGINT)
FROM json_array_elements_text(CAST(:bodies AS json)) WITH ORDINALITY AS one(body, place);
