SELECT value FROM ledger_entry WHERE name = :name
