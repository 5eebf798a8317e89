INSERT INTO prompt_bindings (prompt, env, label, mode, number, rollout, expires_at, code, protected, rev, updated_at)
VALUES (:prompt, :env, :label, :mode, :number, :rollout, :expires_at, :code, :protected, :rev, :updated_at)
ON CONFLICT (prompt, env, label) DO UPDATE SET mode = excluded.mode, number = excluded.number, rollout = excluded.rollout,
  expires_at = excluded.expires_at, code = excluded.code, protected = excluded.protected, rev = excluded.rev, updated_at = excluded.updated_at;
