DELETE FROM families WHERE id = :family AND NOT EXISTS (SELECT 1 FROM asking WHERE family = :family);
