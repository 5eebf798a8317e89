SELECT * FROM tasks ORDER BY name;
