-- The next claim, of whatever worker, begins after this lane.
UPDATE queues SET turn = :turn WHERE name = :name;
