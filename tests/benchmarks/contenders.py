"""Who takes part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Store = Literal["sqlite", "postgres"]
SHORT = ("one_run", "many_runs", "empty_run", "answer")
LONG = "long_run"
CROWD = "crowd"
FIGURES_OF = {"one_run": "W1", "many_runs": "W2", "empty_run": "W3", "answer": "W4", LONG: "W5", CROWD: "W6"}
WORKLOADS = tuple(FIGURES_OF)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """An engine on a store.

    `store` is the table it stands in: one with a server of its own stands beside SQLite, as what takes no installed database.
    `left_out`: workloads that it is not given, and why.
    """

    name: str
    store: Store
    module: str
    server: Literal["", "restate", "temporal"] = ""
    variant: str = ""
    ours: bool = False
    left_out: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def key(self) -> str:
        """What it is called in results."""
        return f"{self.name}/{self.store}"


LONG_HISTORY = "10,000 activities are more than the 51,200 events of history that a workflow may have"

ALL: Sequence[Contender] = (
    Contender(name="agentflow", store="sqlite", module="with_agentflow", ours=True),
    Contender(name="bare", store="sqlite", module="bare", ours=True),
    Contender(name="dbos", store="sqlite", module="with_dbos"),
    Contender(name="langgraph", store="sqlite", module="with_langgraph"),
    Contender(name="restate", store="sqlite", module="with_restate", server="restate"),
    Contender(name="temporal", store="sqlite", module="with_temporal", server="temporal", left_out={LONG: LONG_HISTORY}),
    Contender(name="temporal-local", store="sqlite", module="with_temporal", server="temporal", variant="local"),
    Contender(name="agentflow", store="postgres", module="with_agentflow", ours=True),
    Contender(name="bare", store="postgres", module="bare", ours=True),
    Contender(name="dbos", store="postgres", module="with_dbos"),
    Contender(name="langgraph", store="postgres", module="with_langgraph"),
    Contender(name="absurd", store="postgres", module="with_absurd"),
)
NAMES = tuple(dict.fromkeys(one.name for one in ALL))
STORES: tuple[Store, ...] = ("sqlite", "postgres")


def chosen(names: Sequence[str], stores: Sequence[str]) -> list[Contender]:
    """Those of these names on these stores; ours are always in."""
    return [one for one in ALL if one.store in stores and (one.ours or one.name in names)]
