-- A version that somebody is about to hold: it is not deleted before this transaction has ended.
SELECT * FROM prompt_versions WHERE prompt = :prompt AND hash = :hash;
