SELECT * FROM prompt_pins WHERE scope = :scope AND prompt = :prompt AND label = :label;
