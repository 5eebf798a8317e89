INSERT INTO bare (run, seq, step, value, ended_at)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bigint[])
ON CONFLICT (run, seq) DO UPDATE SET step = excluded.step, value = excluded.value, ended_at = excluded.ended_at;
