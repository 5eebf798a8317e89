SELECT scope, slice, used FROM starts
WHERE queue = :queue AND slice > :since AND scope = ANY (ARRAY(SELECT json_array_elements_text(CAST(:scopes AS json))))
ORDER BY slice;
