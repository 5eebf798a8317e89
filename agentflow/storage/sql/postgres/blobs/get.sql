SELECT hash, value FROM blobs WHERE hash IN (SELECT json_array_elements_text(CAST(:hashes AS json)));
