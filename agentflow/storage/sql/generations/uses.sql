-- Whether a call that a version spoke is still kept.
SELECT id FROM generations WHERE prompt = :prompt AND number = :number LIMIT 1;
