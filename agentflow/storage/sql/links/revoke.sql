UPDATE links SET revoked_at = :now WHERE waitpoint = :waitpoint AND revoked_at IS NULL AND (CAST(:actor AS TEXT) IS NULL OR actor = :actor);
