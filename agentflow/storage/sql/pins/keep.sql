-- The first one counts: whoever comes later is told of it.
INSERT INTO prompt_pins (scope, prompt, label, number, hash, variant, rollout, run, at)
VALUES (:scope, :prompt, :label, :number, :hash, :variant, :rollout, :run, :now)
ON CONFLICT (scope, prompt, label) DO UPDATE SET scope = excluded.scope RETURNING *;
