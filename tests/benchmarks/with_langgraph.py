"""LangGraph with its checkpointers, `durability="sync"`: a step is a node of a loop, its state a number; that is durable by step.

Its `@task` functions are not: their results are written in the background.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any, TypedDict

from tests.benchmarks.pace import FIGURES, Pace
from tests.benchmarks.place import Place
from tests.benchmarks.sizes import Sizes

POOL_SIZE = 10


def versions(sizes: Sizes, place: Place) -> dict[str, str]:
    """What is measured. Raises `PackageNotFoundError`."""
    return place.versions("langgraph", f"langgraph-checkpoint-{'sqlite' if place.database is None else 'postgres'}")


_pace = Pace()
_passed: list[float] = []


class _State(TypedDict):
    done: int
    count: int


async def _add(state: _State) -> dict[str, int]:
    return {"done": state["done"] + 1}


async def _tick(state: _State) -> dict[str, int]:
    number = state["done"]
    _pace.step(number)
    return {"done": number + 1}


async def _ask(state: _State) -> dict[str, int]:
    importlib.import_module("langgraph.types").interrupt("Go on?")
    _passed.append(perf_counter())
    return {"done": 1}


class _Graph:
    """One node in a loop, and where it is remembered."""

    def __init__(self, node: Any, saver: Any) -> None:
        graph: Any = importlib.import_module("langgraph.graph")
        builder = graph.StateGraph(_State)
        builder.add_node("node", node)

        def more(state: _State) -> str:
            return "node" if state["done"] < state["count"] else graph.END

        builder.add_conditional_edges(graph.START, more, ["node", graph.END])
        builder.add_conditional_edges("node", more, ["node", graph.END])
        self._compiled = builder.compile(checkpointer=saver)

    async def run(self, name: str, given: Any) -> None:
        """Run, or go on where `given` is None or an answer."""
        config = {"configurable": {"thread_id": name}, "recursion_limit": 1_000_000}
        await self._compiled.ainvoke(given, config, durability="sync")

    async def seconds(self, name: str, count: int) -> float:
        began = perf_counter()
        await self.run(name, {"done": 0, "count": count})
        return perf_counter() - began


@asynccontextmanager
async def _saver(place: Place) -> AsyncGenerator[Any]:
    if place.database is None:
        checkpoints: Any = importlib.import_module("langgraph.checkpoint.sqlite.aio")
        async with checkpoints.AsyncSqliteSaver.from_conn_string(str(place.directory / "langgraph.db")) as saver:
            yield saver
    else:
        checkpoints = importlib.import_module("langgraph.checkpoint.postgres.aio")
        pools: Any = importlib.import_module("psycopg_pool")
        rows: Any = importlib.import_module("psycopg.rows")
        # As its documentation says for a pool of one's own; a single connection would let no two runs write at once.
        connect = {"autocommit": True, "prepare_threshold": 0, "row_factory": rows.dict_row}
        async with pools.AsyncConnectionPool(place.database, min_size=1, max_size=POOL_SIZE, kwargs=connect) as pool:
            yield checkpoints.AsyncPostgresSaver(conn=pool)


def _measured(place: Place, node: Any, measure: Callable[[_Graph], Awaitable[FIGURES]]) -> FIGURES:
    async def main() -> FIGURES:
        async with _saver(place) as saver:
            await saver.setup()
            return await measure(_Graph(node, saver))

    return asyncio.run(main())


def one_run(sizes: Sizes, place: Place) -> FIGURES:
    """W1."""

    async def measure(graph: _Graph) -> FIGURES:
        await graph.seconds("warm", 5)
        times = [await graph.seconds(str(number), sizes.steps) for number in range(sizes.peer_repeats)]
        return {"W1": [seconds / sizes.steps * 1e3 for seconds in times]}

    return _measured(place, _add, measure)


def many_runs(sizes: Sizes, place: Place) -> FIGURES:
    """W2, with fewer runs."""

    async def measure(graph: _Graph) -> FIGURES:
        await graph.seconds("warm", 5)
        began = perf_counter()
        await asyncio.gather(*(graph.seconds(str(number), sizes.short_steps) for number in range(sizes.peer_runs)))
        return {"W2": [sizes.peer_runs / (perf_counter() - began)]}

    return _measured(place, _add, measure)


def empty_run(sizes: Sizes, place: Place) -> FIGURES:
    """W3: a graph has at least one node."""

    async def measure(graph: _Graph) -> FIGURES:
        await graph.seconds("warm", 5)
        return {"W3": [await graph.seconds(str(number), 1) * 1e3 for number in range(sizes.samples)]}

    return _measured(place, _add, measure)


def answer(sizes: Sizes, place: Place) -> FIGURES:
    """W4: it is never kept in memory, so there is one figure."""

    async def measure(graph: _Graph) -> FIGURES:
        return {"W4": [await _answered(graph, str(number)) for number in range(sizes.samples)]}

    return _measured(place, _ask, measure)


async def _answered(graph: _Graph, name: str) -> float:
    command: Any = importlib.import_module("langgraph.types").Command
    await graph.run(name, {"done": 0, "count": 1})
    asked = perf_counter()
    await graph.run(name, command(resume="yes"))
    return (_passed[-1] - asked) * 1e3


def long_run(sizes: Sizes, place: Place) -> FIGURES:
    """W5, up to the kill."""
    _pace.die_at(sizes.killed_at, place.directory)

    async def measure(graph: _Graph) -> FIGURES:
        await graph.seconds("long", sizes.long_steps)
        return {}

    return _measured(place, _tick, measure)


def long_run_again(sizes: Sizes, place: Place) -> FIGURES:
    """W5, after the kill. It has no lease: who invokes it again has it, and counts from there."""
    taken: list[float] = []

    async def measure(graph: _Graph) -> FIGURES:
        taken.append(perf_counter())
        await graph.run("long", None)
        return {}

    _measured(place, _tick, measure)
    return _pace.figures(sizes, place, taken[0])
