INSERT INTO prompts (name, description, contract, created_at) VALUES (:name, :description, :contract, :now)
ON CONFLICT (name) DO NOTHING;
