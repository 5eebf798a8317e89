"""Streams by name in Redis: append-only bytes that anybody writes and reads through the durable-streams protocol."""
