"""What is shown of settings."""

from __future__ import annotations

import pytest

from agentflow.settings import shown


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://app:se:cr@et@db/agents", "postgresql://app:***@db/agents"),
        ("redis://:pw@host:6379/0", "redis://:***@host:6379/0"),
        ("redis+sentinel://u:p@one:1,two:2/main?sentinel_password=x&db=1", "redis+sentinel://u:***@one:1,two:2/main?sentinel_password=***&db=1"),
        ("postgresql://app@db/agents?password=abc", "postgresql://app@db/agents?password=***"),
        ("/var/lib/a:b@c/agents.db", "/var/lib/a:b@c/agents.db"),
    ],
)
def test_passwords_in_urls_are_not_shown(url: str, expected: str) -> None:
    assert shown(url) == expected
