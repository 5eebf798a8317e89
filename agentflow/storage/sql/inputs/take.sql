-- From here on the message is in the journal.
UPDATE inputs SET data = NULL, entry = :entry WHERE run = :run AND name = :name AND seq = :seq;
