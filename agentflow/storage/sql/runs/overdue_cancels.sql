SELECT id FROM runs WHERE cancel_by IS NOT NULL AND cancel_by <= :now ORDER BY cancel_by LIMIT :limit;
