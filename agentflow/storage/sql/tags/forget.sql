DELETE FROM run_tags
WHERE (tag, run) IN (SELECT tag.value, runs.key FROM json_each(:runs) AS one CROSS JOIN runs ON runs.key = one.value CROSS JOIN json_each(runs.tags) AS tag);
