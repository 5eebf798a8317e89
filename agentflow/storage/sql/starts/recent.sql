SELECT scope, slice, used FROM starts
WHERE queue = :queue AND slice > :since AND scope IN (SELECT value FROM json_each(:scopes))
ORDER BY slice;
