UPDATE audit_head SET place = :place, hash = :hash WHERE name = 'audit';
