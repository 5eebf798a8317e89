SELECT prompt_requests.*, runs.state AS run_state FROM prompt_requests LEFT JOIN runs ON runs.id = prompt_requests.run
WHERE prompt_requests.id = :id;
