SELECT prompt_requests.*, runs.state AS run_state FROM prompt_requests LEFT JOIN runs ON runs.id = prompt_requests.run
WHERE prompt_requests.prompt = :prompt AND (CAST(:env AS TEXT) IS NULL OR prompt_requests.env = :env)
ORDER BY prompt_requests.id DESC LIMIT :limit;
