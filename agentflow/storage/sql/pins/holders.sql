SELECT prompt_pins.prompt, prompt_pins.label, prompt_pins.number, prompt_pins.hash, prompt_pins.variant, prompt_pins.rollout, prompt_pins.at,
  runs.id AS run_id, runs.state, runs.thread
FROM prompt_pins JOIN runs ON runs.key = prompt_pins.run
WHERE prompt_pins.prompt = :prompt AND (CAST(:number AS BIGINT) IS NULL OR prompt_pins.number = :number) AND runs.finished_at IS NULL
ORDER BY prompt_pins.at DESC, prompt_pins.run DESC LIMIT :limit;
