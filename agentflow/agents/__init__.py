"""Agents: tasks that talk to a model. Light to import; what needs pydantic-ai loads when it is first used."""
