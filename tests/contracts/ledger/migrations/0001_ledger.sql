-- The tables of the database contract.
CREATE TABLE ledger_entry (
    name  TEXT NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
CREATE TABLE ledger_debt (
    debtor   TEXT NOT NULL REFERENCES ledger_entry (name) DEFERRABLE INITIALLY DEFERRED,
    creditor TEXT NOT NULL REFERENCES ledger_entry (name) DEFERRABLE INITIALLY DEFERRED
);
INSERT INTO ledger_entry (name, value) VALUES ('opening; balance', 0);
