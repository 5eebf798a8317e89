"""Prompts are pinned on both databases."""

from tests.engine.conftest import engine_database

__all__ = ["engine_database"]
