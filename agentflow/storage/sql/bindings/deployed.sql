SELECT prompts.name, prompts.description, prompt_contracts.contract, prompt_contracts.trusting, prompt_versions.hash
FROM prompt_bindings JOIN prompts ON prompts.name = prompt_bindings.prompt
  JOIN prompt_contracts ON prompt_contracts.prompt = prompt_bindings.prompt AND prompt_contracts.env = prompt_bindings.env
  JOIN prompt_versions ON prompt_versions.prompt = prompt_bindings.prompt AND prompt_versions.number = prompt_bindings.code
WHERE prompt_bindings.env = :env AND prompt_bindings.label = 'live';
