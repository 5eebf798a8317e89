"""What helps to test agents: faults, clocks and engines that a test controls."""
