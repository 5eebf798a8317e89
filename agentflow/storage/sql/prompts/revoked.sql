SELECT prompt, number FROM prompt_versions WHERE revoked_at IS NOT NULL ORDER BY prompt, number;
