-- What was received as journal entry `since` and later.
SELECT inputs.name, inputs.seq, journal.value
FROM inputs JOIN journal ON journal.run = inputs.run AND journal.seq = inputs.entry
WHERE inputs.run = :run AND inputs.entry >= :since;
