SELECT prompts.name, prompts.description, prompts.versions, prompts.created_at, COALESCE(held.contract, prompts.contract) AS contract,
  COALESCE(held.trusting, prompts.trusting) AS trusting
FROM prompts LEFT JOIN prompt_contracts AS held ON held.prompt = prompts.name AND held.env = :env
WHERE prompts.name = :name;
