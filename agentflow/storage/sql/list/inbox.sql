SELECT waitpoints.*, runs.thread AS thread FROM waitpoints LEFT JOIN runs ON runs.key = waitpoints.run
WHERE waitpoints.state = 'pending' AND waitpoints.kind = :kind AND waitpoints.created_at <= :created_at
  AND (waitpoints.created_at < :created_at OR waitpoints.id < :id)
  AND (:every = 1 OR NOT EXISTS (SELECT 1 FROM asking WHERE asking.waitpoint = waitpoints.id AND asking.held IS NOT NULL))
ORDER BY waitpoints.created_at DESC, waitpoints.id DESC LIMIT :look;
