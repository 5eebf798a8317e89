-- In whose name a message was sent: a person, or a run, which sends in the name of whoever asked for that.
ALTER TABLE inputs ADD COLUMN sent_by TEXT;

-- In whose name something was said in a thread: all that its log tells runs.
CREATE TABLE speakers (
  thread TEXT NOT NULL,
  name TEXT NOT NULL,
  PRIMARY KEY (thread, name)
);
INSERT INTO speakers (thread, name)
SELECT DISTINCT thread, started_by FROM runs WHERE thread IS NOT NULL AND started_by IS NOT NULL AND state = 'completed';
