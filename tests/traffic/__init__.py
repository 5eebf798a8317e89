"""A language model provider on the loopback interface that answers with recorded or hand-written bytes."""
