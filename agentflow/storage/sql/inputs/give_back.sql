UPDATE inputs SET data = :data WHERE run = :run AND name = :name AND seq = :seq;
