-- What is left of the newest run: its key, which nobody may get again.
UPDATE runs
SET id = 'deleted_' || key, task = '', queue = '', state = 'cancelled', epoch = 0, input = 'null', output = NULL, error = NULL, parent = NULL,
    parent_id = NULL, tags = '[]', metadata = '{}', idempotency_key = NULL, concurrency_key = NULL, version = NULL, code = NULL,
    cancel_reason = NULL, cancel_by = NULL, cancel_children = 0, created_at = 0, started_at = NULL, finished_at = 0, note = NULL,
    hooks = 'none', hooks_at = NULL, dedupe_key = NULL, debounce_key = NULL, debounce_until = NULL, expires_at = NULL,
    thread = NULL, turn = NULL
WHERE key = :run;
