"""Settings: what they say, and what is shown of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentflow import Agentflow
from agentflow.engine.worker import WorkerSettings
from agentflow.errors import ConfigurationError
from agentflow.settings import find_settings, shown

DAY = 86_400_000_000


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://app:se:cr@et@db/agents", "postgresql://app:***@db/agents"),
        ("redis://:pw@host:6379/0", "redis://:***@host:6379/0"),
        (
            "redis+sentinel://u:p@one:1,two:2/main?sentinel_password=x&db=1",
            "redis+sentinel://u:***@one:1,two:2/main?sentinel_password=***&db=1",
        ),
        ("postgresql://app@db/agents?password=abc", "postgresql://app@db/agents?password=***"),
        ("/var/lib/a:b@c/agents.db", "/var/lib/a:b@c/agents.db"),
    ],
)
def test_passwords_in_urls_are_not_shown(url: str, expected: str) -> None:
    assert shown(url) == expected


def test_finished_runs_are_kept_for_thirty_days_unless_somebody_says_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_settings(environment={}, start=tmp_path).keeps == 30 * DAY
    assert find_settings(environment={"AGENTFLOW_RETENTION": "12h"}, start=tmp_path).keeps == DAY // 2
    (tmp_path / "pyproject.toml").write_text('[tool.agentflow]\nretention = "forever"\n')
    assert find_settings(environment={}, start=tmp_path).keeps is None
    monkeypatch.setenv("AGENTFLOW_RETENTION", "7d")
    assert Agentflow().keeps == 7 * DAY
    app = Agentflow(worker=WorkerSettings(retention="1d"))
    assert app.keeps == DAY
    assert app.configure(retention="forever").keeps is None


def test_web_origins_are_given_by_commas_or_as_a_list(tmp_path: Path) -> None:
    assert find_settings(environment={}, start=tmp_path).cors_origins == ()
    said = {"AGENTFLOW_CORS_ORIGINS": "https://shop.example, http://localhost:5173"}
    assert find_settings(environment=said, start=tmp_path).cors_origins == ("https://shop.example", "http://localhost:5173")
    (tmp_path / "pyproject.toml").write_text('[tool.agentflow]\ncors-origins = ["https://shop.example"]\n')
    assert find_settings(environment={}, start=tmp_path).cors_origins == ("https://shop.example",)
    with pytest.raises(ConfigurationError, match="cors_origins = 7"):
        find_settings({"cors_origins": 7}, environment={}, start=tmp_path)


def test_a_retention_that_is_no_time_is_an_error_that_says_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="retention = 'soon' is no time") as caught:
        find_settings({"retention": "soon"}, environment={}, start=tmp_path)
    assert "30d" in caught.value.hint
