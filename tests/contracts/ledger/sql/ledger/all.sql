SELECT name, value FROM ledger_entry ORDER BY name
