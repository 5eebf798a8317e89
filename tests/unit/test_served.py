"""The tasks that a worker serves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from agentflow import task
from agentflow.app.registry import Served


@task(name="served_ours")
async def ours() -> None: ...


class Vanishing(Mapping[str, Any]):
    """A task that is gone once its name was heard, as one that nobody holds any more."""

    def values(self) -> Any:
        return []

    def __getitem__(self, name: str) -> Any:
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(["gone"])

    def __len__(self) -> int:
        return 1


def test_a_task_that_vanishes_meanwhile_is_none_of_those_served() -> None:
    served = Served(Vanishing(), [ours])
    assert served.values() == [ours]
    assert list(served) == ["gone", "served_ours"]
