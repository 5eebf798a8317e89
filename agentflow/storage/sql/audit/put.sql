INSERT INTO audit (type, waitpoint, run_id, actor, via, detail, at) VALUES (:type, :waitpoint, :run_id, :actor, :via, :detail, :now);
