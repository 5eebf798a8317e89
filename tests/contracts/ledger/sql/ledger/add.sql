UPDATE ledger_entry SET value = value + :amount WHERE name = :name RETURNING value
