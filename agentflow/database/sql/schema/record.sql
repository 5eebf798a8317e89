INSERT INTO agentflow_schema (version, name, checksum, applied_at) VALUES (:version, :name, :checksum, :applied_at)
