SELECT runs.id, runs.thread, shown.call FROM shown JOIN runs ON runs.key = shown.run WHERE shown.waitpoint = :waitpoint ORDER BY runs.key;
