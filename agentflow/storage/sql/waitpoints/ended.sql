SELECT * FROM waitpoints WHERE run = :run AND wake > :wake ORDER BY wake;
