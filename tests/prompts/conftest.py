"""Prompts are pinned on both databases."""

from tests.engine.conftest import engine_database
from tests.traffic.fixtures import scripted_provider

__all__ = ["engine_database", "scripted_provider"]
