"""The command line. A module here imports only what `--help` needs; the engine is loaded by the command that uses it."""
