UPDATE prompts SET description = :description, contract = :contract WHERE name = :name;
