"""The logger of a run's code."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any, Protocol


class Replaying(Protocol):
    """A run that may be going through what it has recorded."""

    @property
    def run_id(self) -> str:
        """The run's id."""
        ...

    @property
    def replaying(self) -> bool:
        """Whether it is."""
        ...


class ReplayLogger(logging.LoggerAdapter[logging.Logger]):
    """Names the run, and is silent while it replays."""

    def __init__(self, logger: logging.Logger, extra: dict[str, Any], run: Replaying) -> None:
        super().__init__(logger, extra)
        self._run = run

    def isEnabledFor(self, level: int) -> bool:
        return not self._run.replaying and super().isEnabledFor(level)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        kwargs["extra"] = {**(self.extra or {}), **kwargs.get("extra", {})}
        return f"[{self._run.run_id}] {msg}", kwargs
