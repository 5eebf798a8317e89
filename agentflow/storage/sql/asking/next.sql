SELECT waitpoint, run FROM asking WHERE family = :family AND held = 'full' ORDER BY created_at, waitpoint LIMIT :limit;
