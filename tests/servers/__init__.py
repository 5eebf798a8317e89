"""Real servers for tests: each is a child process that ends with the tests, in a folder of its own."""
