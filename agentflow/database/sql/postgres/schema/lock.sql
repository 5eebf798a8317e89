-- One key for all who migrate this schema; released when the transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended('agentflow ' || COALESCE(current_schema(), trim(BOTH '"' FROM current_setting('search_path'))), 0))
