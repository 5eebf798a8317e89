SELECT * FROM grants WHERE budget = ANY (ARRAY(SELECT json_array_elements_text(CAST(:budgets AS json)))) ORDER BY budget FOR UPDATE;
