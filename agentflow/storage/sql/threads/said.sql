SELECT * FROM messages WHERE thread = :thread AND seq > :after AND seq <= :upto ORDER BY seq;
