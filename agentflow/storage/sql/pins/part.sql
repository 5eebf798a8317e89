-- No prompt has an empty name: it says that the run is the top of a family.
INSERT INTO prompt_pins (scope, prompt, label, number, hash, run, at) VALUES (:scope, '', '', 0, '', :run, :now) ON CONFLICT DO NOTHING;
