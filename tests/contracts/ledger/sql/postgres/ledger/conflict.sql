-- What the server says when it sees that two transactions do not fit one after the other.
DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001', MESSAGE = 'ordered by a test'; END $$
