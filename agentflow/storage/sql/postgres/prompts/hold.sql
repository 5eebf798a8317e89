SELECT * FROM prompt_versions WHERE prompt = :prompt AND hash = :hash FOR KEY SHARE;
