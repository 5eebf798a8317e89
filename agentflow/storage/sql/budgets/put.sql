INSERT INTO budgets (run, id, terms) VALUES (:run, :id, :terms) ON CONFLICT (run, id) DO UPDATE SET terms = excluded.terms;
