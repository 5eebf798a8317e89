"""DBOS Transact with its defaults, on its SQLite or on PostgreSQL: every step is a commit; on SQLite waits are polled."""

from __future__ import annotations

import importlib
from time import perf_counter
from typing import Any

from tests.benchmarks.pace import FIGURES, Pace, pause
from tests.benchmarks.place import Place
from tests.benchmarks.sizes import Sizes

NAME = "bench"
TIME_TO_BEGIN_WAITING = 0.2


def versions(sizes: Sizes, place: Place) -> dict[str, str]:
    """What is measured. Raises `PackageNotFoundError`."""
    return place.versions("dbos")


_pace = Pace()
_passed: list[float] = []


class _App:
    """Its workflows, launched on a database of their own."""

    def __init__(self, place: Place) -> None:
        self.dbos: Any = importlib.import_module("dbos").DBOS
        url = place.database or f"sqlite:///{place.directory / 'dbos.sqlite'}"
        self.dbos(config={"name": NAME, "system_database_url": url, "log_level": "ERROR", "enable_otlp": False})
        add: Any = self.dbos.step(name="add")(_add)
        tick: Any = self.dbos.step(name="tick")(_tick)

        def adds(count: int) -> int:
            total = 0
            for number in range(count):
                total = add(total, number)
            return total

        def ticks(count: int) -> int:
            for number in range(count):
                tick(number)
            return count

        def asks() -> Any:
            answer = self.dbos.recv("answer", timeout_seconds=60)
            _passed.append(perf_counter())
            return answer

        self.adds: Any = self.dbos.workflow(name="adds")(adds)
        self.ticks: Any = self.dbos.workflow(name="ticks")(ticks)
        self.asks: Any = self.dbos.workflow(name="asks")(asks)
        self.dbos.launch()

    def seconds(self, workflow: Any, *args: Any) -> float:
        began = perf_counter()
        self.dbos.start_workflow(workflow, *args).get_result()
        return perf_counter() - began


def _add(total: int, number: int) -> int:
    return total + number


def _tick(number: int) -> int:
    _pace.step(number)
    return number


def one_run(sizes: Sizes, place: Place) -> FIGURES:
    """W1."""
    app = _App(place)
    app.seconds(app.adds, 5)
    return {"W1": [app.seconds(app.adds, sizes.steps) / sizes.steps * 1e3 for _ in range(sizes.peer_repeats)]}


def many_runs(sizes: Sizes, place: Place) -> FIGURES:
    """W2, with fewer runs."""
    app = _App(place)
    app.seconds(app.adds, 5)
    began = perf_counter()
    started = [app.dbos.start_workflow(app.adds, sizes.short_steps) for _ in range(sizes.peer_runs)]
    for run in started:
        run.get_result()
    return {"W2": [sizes.peer_runs / (perf_counter() - began)]}


def empty_run(sizes: Sizes, place: Place) -> FIGURES:
    """W3."""
    app = _App(place)
    app.seconds(app.adds, 5)
    return {"W3": [app.seconds(app.adds, 0) * 1e3 for _ in range(sizes.samples)]}


def answer(sizes: Sizes, place: Place) -> FIGURES:
    """W4."""
    app = _App(place)
    return {"W4": [_answered(app) for _ in range(sizes.slow_samples)]}


def _answered(app: _App) -> float:
    run = app.dbos.start_workflow(app.asks)
    # It tells nobody that it waits, and an answer that came before would be found at once.
    pause(TIME_TO_BEGIN_WAITING)
    asked = perf_counter()
    app.dbos.send(run.workflow_id, "yes", "answer")
    run.get_result()
    return (_passed[-1] - asked) * 1e3


def long_run(sizes: Sizes, place: Place) -> FIGURES:
    """W5, up to the kill."""
    _pace.die_at(sizes.killed_at, place.directory)
    app = _App(place)
    app.seconds(app.ticks, sizes.long_steps)
    return {}


def long_run_again(sizes: Sizes, place: Place) -> FIGURES:
    """W5, after the kill. It has no lease: launching it recovers the runs of the executor of the same name, and counts from there."""
    importlib.import_module("dbos")
    app = _App(place)
    taken = perf_counter()
    (run,) = app.dbos.list_workflows(name="ticks")
    app.dbos.retrieve_workflow(run.workflow_id).get_result()
    figures = _pace.figures(sizes, place, taken)
    app.dbos.destroy()
    return figures
