"""The engine is tested on both databases."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["sqlite", "postgres"])
def engine_database(request: pytest.FixtureRequest) -> str | None:
    """Where the engine under test keeps what is true."""
    return None if request.param == "sqlite" else request.getfixturevalue("migrated_url")
