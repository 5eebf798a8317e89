"""Protocols of others, spoken from a run's own log: each a pure function of its events."""
