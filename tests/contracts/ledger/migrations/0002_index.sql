CREATE INDEX ledger_entry_value ON ledger_entry (value);
