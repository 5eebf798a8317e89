INSERT INTO run_tags (tag, run) SELECT 'vip', key FROM runs WHERE tags = '["vip"]';
