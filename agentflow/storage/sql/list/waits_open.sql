SELECT * FROM waitpoints WHERE kind = :kind AND state = 'pending' ORDER BY created_at DESC, id DESC LIMIT :limit;
