"""A process that wants to end every waitpoint of a database in its own way: `python -m tests.contracts.contender URL WAY COUNT`.

It says that it is ready, waits for a word, tries all of them, and says what became of each: what it was told to be the end.
"""

from __future__ import annotations

import asyncio
import random
import sys
from typing import Any

from agentflow.database import Database, open_database
from agentflow.errors import WaitpointError
from agentflow.records import WaitState
from agentflow.serde import dumps
from agentflow.storage import deciding, waitpoints
from agentflow.storage.deciding import Ballot, Decided
from agentflow.storage.policy import Voter
from agentflow.storage.waitpoints import Ending
from tests.contracts.stock import NOW

AT_ONCE = 20
ANSWERS = {"approve": '{"approved":true}', "deny": '{"approved":false}', "cancel": "{}", "supersede": "{}"}


async def attempt(database: Database, way: str, number: int) -> list[Any]:
    """What this one was told: whether it ended the waitpoint, and how that ended."""
    id = f"wp_{number}"
    try:
        ended = await database.transact(transaction(way, id))
    except WaitpointError as refused:
        return [number, False, refused.details["state"], refused.details["by"]]
    if isinstance(ended, Decided) and ended.refused is not None:
        return [number, False, ended.refused.details["state"], ended.refused.details["by"]]
    return [number, True, ended.waitpoint.state.value, ended.waitpoint.answered_by]


def transaction(way: str, id: str) -> Any:
    if way == "timeout":
        return waitpoints.end(id, Ending(WaitState.TIMED_OUT, None, "system:timeout"), NOW)
    ballot = Ballot(voter=Voter(way), choice=way, answer=ANSWERS[way])
    return (deciding.decide if way in ("approve", "deny") else deciding.withdraw)(id, ballot, NOW)


def mixed(way: str, count: int) -> list[int]:
    """All numbers: a hundred after the other, so that everybody is at the same ones, each in an order of its own."""
    chance = random.Random(way)
    return [one for start in range(0, count, 100) for one in chance.sample(range(start, start + 100), 100)]


async def main(url: str, way: str, count: int) -> None:
    database = open_database(url)
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    told: list[list[Any]] = []
    order = mixed(way, count)
    for start in range(0, count, AT_ONCE):
        told += await asyncio.gather(*(attempt(database, way, number) for number in order[start : start + AT_ONCE]))
    print(dumps(told), flush=True)
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
