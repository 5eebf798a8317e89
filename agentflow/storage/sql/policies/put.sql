INSERT INTO prompt_policies (prompt, env, id, people, who, gate, lasts, actor, at)
VALUES (:prompt, :env, :id, :people, :who, :gate, :lasts, :actor, :now)
ON CONFLICT (prompt, env) DO UPDATE SET id = excluded.id, people = excluded.people, who = excluded.who, gate = excluded.gate,
  lasts = excluded.lasts, actor = excluded.actor, at = excluded.at
RETURNING *;
