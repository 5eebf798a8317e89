UPDATE prompts SET description = :description, contract = :contract, trusting = :trusting WHERE name = :name;
