INSERT INTO stretches (thread, first, follows) VALUES (:thread, :first, :follows);
