UPDATE audit SET place = CAST(one.value ->> 1 AS BIGINT), hash = one.value ->> 2
FROM json_array_elements(CAST(:sealed AS json)) AS one(value)
WHERE audit.key = CAST(one.value ->> 0 AS BIGINT) AND audit.place IS NULL;
