-- Nobody else changes anything of the prompt until this transaction has ended.
UPDATE prompts SET events = events WHERE name = :name RETURNING *;
