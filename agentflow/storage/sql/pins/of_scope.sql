SELECT * FROM prompt_pins WHERE scope = :scope;
