-- Where stretches begin, up to message `upto`, the last one first.
SELECT first, follows FROM stretches WHERE thread = :thread AND first <= :upto ORDER BY first DESC;
