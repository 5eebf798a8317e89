SELECT * FROM queues ORDER BY name;
