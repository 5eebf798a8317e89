"""Real workers on real servers under every fault at once: `python -m tests.faults.soak --help`."""
