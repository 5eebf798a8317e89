SELECT hash, value FROM blobs WHERE hash IN (SELECT value FROM json_each(:hashes));
