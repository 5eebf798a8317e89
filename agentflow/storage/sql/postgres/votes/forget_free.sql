DELETE FROM votes WHERE waitpoint = ANY (ARRAY(SELECT json_array_elements_text(CAST(:waitpoints AS json))));
