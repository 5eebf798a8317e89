DELETE FROM prompt_pins WHERE scope = :scope AND prompt = :prompt RETURNING scope;
