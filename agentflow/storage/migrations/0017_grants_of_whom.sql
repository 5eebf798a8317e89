-- Who was asked about the call that a grant was given with, as JSON: `users` and `groups`. NULL where it was given to a tool by its name.
ALTER TABLE approval_grants ADD COLUMN who TEXT;
