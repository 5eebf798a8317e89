UPDATE inputs SET data = :data, entry = NULL WHERE run = :run AND name = :name AND seq = :seq;
