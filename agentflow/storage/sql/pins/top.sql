-- The run at the top of a family, as far up as it is kept: one that parted from those above it, or has none.
WITH RECURSIVE above (key, parent, depth) AS (
  SELECT key, parent, 0 FROM runs WHERE key = :run
  UNION ALL
  SELECT runs.key, runs.parent, above.depth + 1 FROM above JOIN runs ON runs.key = above.parent
  WHERE NOT EXISTS (SELECT 1 FROM prompt_pins WHERE prompt_pins.scope = 'run:' || above.key AND prompt_pins.prompt = '' AND prompt_pins.label = '')
)
SELECT key FROM above ORDER BY depth DESC LIMIT 1;
