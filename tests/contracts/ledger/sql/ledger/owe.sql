INSERT INTO ledger_debt (debtor, creditor) VALUES (:debtor, :creditor)
