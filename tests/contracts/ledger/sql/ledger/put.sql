INSERT INTO ledger_entry (name, value) VALUES (:name, :value) RETURNING name, value
