"""In whose name a run works: whoever started it, and everybody whose words it has heard. None of them decides about what it asks, where
that is excluded."""

from __future__ import annotations

from dataclasses import dataclass

from agentflow.database.port import Transaction
from agentflow.storage.policy import is_reserved
from agentflow.storage.statements import SQL


@dataclass(frozen=True, slots=True)
class Requesters:
    """Who `started` a run or one above it, and whose words it or one above it has heard (`said`): in messages, and in its thread."""

    started: tuple[str, ...] = ()
    said: tuple[str, ...] = ()

    def names(self, instead: str | None = None) -> list[str]:
        """All of them, those first who started it, or who is named `instead` of them."""
        return list(dict.fromkeys([*(self.started if instead is None else (instead,)), *self.said]))


def of_run(run: int) -> Transaction[Requesters]:
    """In whose name a run works by now. What a run above it has heard since it started this one counts, too."""
    started: dict[str, None] = {}
    said: dict[str, None] = {}
    ahead, seen, above = [run], {run}, {run}
    for here in ahead:
        for row in (yield SQL.requesters.asking(run=here)):
            if row["name"] is not None:
                (started if row["started"] and here in above else said)[row["name"]] = None
            if row["run"] is not None and row["run"] not in seen:
                ahead.append(row["run"])
                seen.add(row["run"])
                if row["started"] and here in above:
                    above.add(row["run"])
        for row in (yield SQL.requesters.speaking(run=here)):
            said[row["name"]] = None
    return Requesters(tuple(started), tuple(said))


def take_over(source: int, run: int) -> Transaction[None]:
    """A run repeats another, and so works in the name of whoever asked that for something. A part of the transaction that starts it."""
    known = yield from of_run(source)
    for name in known.names():
        if not is_reserved(name):
            yield SQL.requesters.put(run=run, name=name, started=int(name in known.started))


def spoke(thread: str, run: int) -> Transaction[None]:
    """What a run has said is in its thread from now on, and so is in whose name it was said. A part of the transaction that adds it."""
    for name in (yield from of_run(run)).names():
        yield SQL.requesters.spoke(thread=thread, name=name)
