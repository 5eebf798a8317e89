"""Restate: its server with its defaults, and beside it a service in this process that it calls over HTTP/2; runs come in by HTTP."""

from __future__ import annotations

import asyncio
import importlib
import socket
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

import httpx

from tests.benchmarks.pace import FIGURES, Pace, pause
from tests.benchmarks.place import Place
from tests.benchmarks.sizes import Sizes

TIME_TO_BEGIN_WAITING = 0.02
UNLIMITED = 2**31 - 1


def versions(sizes: Sizes, place: Place) -> dict[str, str]:
    """What is measured. Raises `PackageNotFoundError`."""
    return {**place.versions("restate-sdk"), "restate-server": place.servers["version"]}


_pace = Pace()
_passed: list[float] = []
_waiting: list[str] = []


async def _adds(context: Any, count: int) -> int:
    total = 0
    for number in range(count):
        total = await context.run_typed("add", _add, total=total, number=number)
    return total


async def _add(total: int, number: int) -> int:
    return total + number


async def _ticks(context: Any, count: int) -> int:
    for number in range(count):
        await context.run_typed("tick", _tick, number=number)
    return count


async def _tick(number: int) -> int:
    _pace.step(number)
    return number


async def _asks(context: Any, count: int) -> int:
    name, answer = context.awakeable()
    _waiting.append(name)
    await answer
    _passed.append(perf_counter())
    return count


class _Bench:
    """The service, served, and a client of the server."""

    def __init__(self, ingress: httpx.AsyncClient, listening_at: float) -> None:
        self.ingress = ingress
        self.listening_at = listening_at

    async def run(self, handler: str, count: int) -> None:
        (await self.ingress.post(f"/bench/{handler}", json=count)).raise_for_status()

    async def seconds(self, handler: str, count: int) -> float:
        began = perf_counter()
        await self.run(handler, count)
        return perf_counter() - began


def _measured(place: Place, measure: Callable[[_Bench], Awaitable[FIGURES]]) -> FIGURES:
    async def main() -> FIGURES:
        port = _known_port(place)
        listening = socket.create_server(("127.0.0.1", port), backlog=100)
        listening_at = perf_counter()
        ended = asyncio.Event()
        serving = asyncio.create_task(_serve(listening, ended))
        async with httpx.AsyncClient(base_url=place.servers["ingress"], timeout=None, limits=httpx.Limits(max_connections=None)) as ingress:
            if not port:
                await _register(place, listening.getsockname()[1])
            try:
                return await measure(_Bench(ingress, listening_at))
            finally:
                ended.set()
                await serving

    return asyncio.run(main())


def _known_port(place: Place) -> int:
    remembered = place.directory / "port"
    return int(remembered.read_text(encoding="utf-8")) if remembered.exists() else 0


async def _serve(listening: socket.socket, ended: asyncio.Event) -> None:
    restate: Any = importlib.import_module("restate")
    hypercorn: Any = importlib.import_module("hypercorn.asyncio")
    service = restate.Service("bench")
    for name, handler in (("adds", _adds), ("ticks", _ticks), ("asks", _asks)):
        service.handler(name)(handler)
    config: Any = importlib.import_module("hypercorn.config").Config()
    config.bind = [f"fd://{listening.fileno()}"]
    config.h2_max_concurrent_streams = config.keep_alive_max_requests = config.keep_alive_timeout = UNLIMITED
    config.graceful_timeout = 0.1
    await hypercorn.serve(restate.app([service]), config, mode="asgi", shutdown_trigger=ended.wait)


async def _register(place: Place, port: int) -> None:
    async with httpx.AsyncClient(base_url=place.servers["admin"], timeout=30) as admin:
        given = {"uri": f"http://127.0.0.1:{port}", "force": True}
        (await admin.post("/deployments", json=given)).raise_for_status()
    (place.directory / "port").write_text(str(port), encoding="utf-8")


def one_run(sizes: Sizes, place: Place) -> FIGURES:
    """W1."""

    async def measure(bench: _Bench) -> FIGURES:
        await bench.run("adds", 5)
        return {"W1": [await bench.seconds("adds", sizes.steps) / sizes.steps * 1e3 for _ in range(sizes.peer_repeats)]}

    return _measured(place, measure)


def many_runs(sizes: Sizes, place: Place) -> FIGURES:
    """W2, with fewer runs."""

    async def measure(bench: _Bench) -> FIGURES:
        await bench.run("adds", 5)
        began = perf_counter()
        await asyncio.gather(*(bench.run("adds", sizes.short_steps) for _ in range(sizes.peer_runs)))
        return {"W2": [sizes.peer_runs / (perf_counter() - began)]}

    return _measured(place, measure)


def empty_run(sizes: Sizes, place: Place) -> FIGURES:
    """W3."""

    async def measure(bench: _Bench) -> FIGURES:
        await bench.run("adds", 5)
        return {"W3": [await bench.seconds("adds", 0) * 1e3 for _ in range(sizes.samples)]}

    return _measured(place, measure)


def answer(sizes: Sizes, place: Place) -> FIGURES:
    """W4: the run waits in memory, as it does for a minute."""

    async def measure(bench: _Bench) -> FIGURES:
        return {"W4": [await _answered(bench) for _ in range(sizes.samples)]}

    return _measured(place, measure)


async def _answered(bench: _Bench) -> float:
    _waiting.clear()
    run = asyncio.create_task(bench.run("asks", 0))
    while not _waiting:
        await asyncio.sleep(0)
    # The server has to be told of the wait before it can be answered at its best.
    await asyncio.to_thread(pause, TIME_TO_BEGIN_WAITING)
    asked = perf_counter()
    (await bench.ingress.post(f"/restate/awakeables/{_waiting[0]}/resolve", json="yes")).raise_for_status()
    await run
    return (_passed[-1] - asked) * 1e3


def long_run(sizes: Sizes, place: Place) -> FIGURES:
    """W5, up to the kill of the service; the server lives on."""
    _pace.die_at(sizes.killed_at, place.directory)

    async def measure(bench: _Bench) -> FIGURES:
        sent = (await bench.ingress.post("/bench/ticks/send", json=sizes.long_steps)).json()
        (place.directory / "run").write_text(sent["invocationId"], encoding="utf-8")
        await _ended(bench, sent["invocationId"])
        return {}

    return _measured(place, measure)


def long_run_again(sizes: Sizes, place: Place) -> FIGURES:
    """W5, after the kill: counted from when the service can be reached again, at the same address."""
    taken: list[float] = []

    async def measure(bench: _Bench) -> FIGURES:
        taken.append(bench.listening_at)
        await _ended(bench, (place.directory / "run").read_text(encoding="utf-8"))
        return {}

    _measured(place, measure)
    return _pace.figures(sizes, place, taken[0])


async def _ended(bench: _Bench, run: str) -> None:
    (await bench.ingress.get(f"/restate/invocation/{run}/attach")).raise_for_status()
