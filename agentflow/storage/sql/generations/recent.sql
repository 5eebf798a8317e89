-- How long the last answered calls of a version took; of one variant of one rollout, or of none, where those are told apart.
SELECT duration, first_token FROM generations
WHERE prompt = :prompt AND number = :number AND at > :since AND ended = 'answered'
  AND (CAST(:env AS TEXT) IS NULL OR env = :env)
  AND (CAST(:rollout AS TEXT) IS NULL OR rollout = :rollout)
  AND (CAST(:by AS TEXT) <> 'variant' OR (
    COALESCE(variant, '') = COALESCE(CAST(:variant AS TEXT), '') AND COALESCE(rollout, '') = COALESCE(CAST(:rollout AS TEXT), '')
  ))
ORDER BY at DESC LIMIT :limit;
