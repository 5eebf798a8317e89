-- The summary that stands for most, of those behind message `after` and not behind `upto`.
SELECT upto, body FROM summaries WHERE thread = :thread AND upto > :after AND upto <= :upto ORDER BY upto DESC LIMIT 1;
