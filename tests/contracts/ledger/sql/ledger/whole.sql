SELECT * FROM ledger_entry
