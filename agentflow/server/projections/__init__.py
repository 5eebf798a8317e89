"""Protocols of others over the same runs and streams."""
