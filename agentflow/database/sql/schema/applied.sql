SELECT version, name, checksum, applied_at FROM agentflow_schema ORDER BY version
