SELECT messages.* FROM threads JOIN messages ON messages.thread = threads.key
WHERE threads.id = :id AND seq > :after AND seq <= :upto ORDER BY seq;
