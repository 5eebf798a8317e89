-- A version that is about to be deleted: whoever takes hold of it now waits, and then finds that it is gone.
SELECT * FROM prompt_versions WHERE prompt = :prompt AND number = :number;
