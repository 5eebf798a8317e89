-- `sealed` is a JSON array of key, place and hash. A row is sealed once.
UPDATE audit SET place = json_extract(one.value, '$[1]'), hash = json_extract(one.value, '$[2]')
FROM json_each(:sealed) AS one
WHERE audit.key = json_extract(one.value, '$[0]') AND audit.place IS NULL;
