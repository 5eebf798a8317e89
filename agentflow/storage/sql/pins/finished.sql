-- The last runs that ended and held a version, or a run below them did. What a run of an experiment says is of no use to another one.
SELECT id FROM runs
WHERE key IN (SELECT run FROM prompt_pins WHERE prompt = :prompt) AND parent IS NULL AND state IN ('completed', 'failed')
  AND (started_by IS NULL OR started_by NOT LIKE :trials)
ORDER BY finished_at DESC, key DESC LIMIT :limit;
