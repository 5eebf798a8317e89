INSERT INTO prompts (name, description, contract, trusting, created_at) VALUES (:name, :description, :contract, :trusting, :now)
ON CONFLICT (name) DO NOTHING;
