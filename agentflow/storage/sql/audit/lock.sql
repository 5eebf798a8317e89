SELECT place, hash FROM audit_head WHERE name = 'audit';
