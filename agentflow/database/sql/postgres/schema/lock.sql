-- One key for all who migrate; released when the transaction ends.
SELECT pg_advisory_xact_lock(7027113905)
