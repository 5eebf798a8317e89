INSERT INTO starts (queue, scope, slice, used) VALUES (:queue, :scope, :slice, :used)
ON CONFLICT (queue, scope, slice) DO UPDATE SET used = starts.used + excluded.used;
