"""Experiments with prompts: runs that ended are started anew by several versions, and what comes of them is scored."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Required, TypedDict, cast

from agentflow.clock import SECOND, Clock, Duration
from agentflow.database.port import Database, Transaction
from agentflow.errors import PromptError
from agentflow.handle import RunHandle
from agentflow.prompts.report import Report, Scored, Tried
from agentflow.records import RunRecord, RunState, new_id
from agentflow.serde import loads
from agentflow.storage import experiments, pins, runs, usage
from agentflow.storage.experiments import Experiment, Trial
from agentflow.storage.pins import Holding
from agentflow.storage.prompts import Happening
from agentflow.storage.runs import NewRun, Started

Start = Callable[[str, str, Mapping[str, Any], Callable[[NewRun, int], Transaction[Started]]], Awaitable[RunHandle[Any]]]
Ended = Callable[[str, Duration | None], Awaitable[RunRecord]]
Check = Callable[[str, int, None], Awaitable[None]]
Scorer = Callable[[Any, Any, Tried], Any] | Literal["cost", "latency", "tokens", "failed"]
"""Says what a run of an experiment is worth, a number or a bool: a function (sync or async) of the run's input, its output and the run as
`Tried`, or one of `cost` (US dollars), `latency` (seconds), `tokens`, `failed`. None is no score; a function is not asked of a run that
failed."""

_LOOKS = 5 * SECOND, 600 * SECOND
"""How long after one look at a run the next one is: first, and at most."""
_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def _cost(one: Tried) -> float | None:
    return None if one.usage.usd is None or one.usage.unpriced else float(one.usage.usd)


_KNOWN: Mapping[str, Callable[[Tried], float | None]] = {
    "cost": _cost,
    "latency": lambda one: one.seconds,
    "tokens": lambda one: None if one.usage.unmetered else one.usage.tokens,
    "failed": lambda one: one.failed,
}


class ExperimentOptions(TypedDict, total=False):
    """What is compared, and how; only `actor` is required. See `Prompts.experiment`."""

    actor: Required[str]
    reason: str
    versions: Sequence[int]
    runs: Sequence[str]
    last: int
    scorers: Sequence[Scorer]
    tools: Literal["recorded", "live"]
    live: Sequence[str]
    id: str
    concurrency: int


@dataclass(frozen=True, slots=True)
class _Going:
    """An experiment under way: the runs that there are already, by their keys, and how many may go side by side."""

    what: Experiment
    there: Mapping[str, str]
    gate: asyncio.Semaphore


@dataclass(frozen=True, slots=True)
class Experiments:
    """Has runs repeated. `start` starts one, `ended` waits for one, `check` raises where code cannot fill a version."""

    database: Database
    clock: Clock
    start: Start
    ended: Ended
    check: Check

    async def run(self, name: str, options: ExperimentOptions) -> Report:
        """The report of an experiment that begins now, or goes on."""
        scorers = _scorers(options.get("scorers", ("cost", "latency", "failed")))
        gate = asyncio.Semaphore(_count(options.get("concurrency", 4), "concurrency"))
        known = await self._begun(name, options)
        going = _Going(known, await self.database.read(experiments.trials(known.id)), gate)
        sources = [await self.database.read(runs.get(one)) for one in known.runs]
        try:
            async with asyncio.TaskGroup() as group:
                pairs = [(source, number) for source in sources for number in known.versions]
                tried = [group.create_task(self._tried(going, source, number)) for source, number in pairs]
        except ExceptionGroup as several:
            raise several.exceptions[0] from None
        scored = [await _scored(one.result(), source, scorers) for one, (source, _) in zip(tried, pairs, strict=True)]
        names = list(scorers)
        return Report(id=known.id, prompt=name, versions=known.versions, tools=known.tools, scorers=names, runs=scored)

    async def _begun(self, name: str, options: ExperimentOptions) -> Experiment:
        id = options.get("id") or new_id("exp", self.clock.now())
        if not _ID.fullmatch(id):
            raise PromptError(f"{id!r} is no id of an experiment.", hint="Use letters, digits, - _ and ., at most 64.")
        there = await self.database.read(experiments.find(name, id))
        if there is None:
            said = Happening(type="", actor=options["actor"], reason=options.get("reason", ""))
            wanted = await self._wanted(name, id, options)
            there = await self.database.transact(experiments.begin(wanted, said, self.clock.now()))
        if list(options.get("versions", there.versions)) != list(there.versions):
            hint = "Take another id; with this one it goes on as it began."
            raise PromptError(f"The experiment {id} compares {_named(there.versions)}.", hint=hint)
        return there

    async def _wanted(self, name: str, id: str, options: ExperimentOptions) -> Experiment:
        versions, tools = options.get("versions", ()), options.get("tools", "recorded")
        if not versions or len(set(versions)) < len(versions):
            raise PromptError("An experiment compares versions, each once.", hint="Name them: versions=[3, 5].")
        if tools not in ("recorded", "live"):
            raise PromptError(f"tools={tools!r} is not understood.", hint="Say recorded, or live: all that the runs do is done again.")
        for number in versions:
            await self.check(name, number, None)
        given = options.get("runs")
        last = _count(options.get("last", 20), "last")
        chosen = list(dict.fromkeys(given)) if given is not None else await self.database.read(experiments.last_runs(name, last))
        if not chosen:
            raise PromptError(f"No run that has ended held {name}.", hint="Name runs: runs=[…].")
        for one in chosen:
            if not (await self.database.read(runs.get(one))).state.terminal:
                raise PromptError(f"{one} goes on.", hint="Take a run that has ended.")
        return Experiment(id=id, prompt=name, versions=versions, runs=chosen, tools=tools, live=list(options.get("live", ())))

    async def _tried(self, known: _Going, source: RunRecord, number: int) -> Tried:
        trial = Trial(known.what.prompt, known.what.id, source.id)
        async with known.gate:
            id = known.there.get(trial.key(number)) or await self._started(trial, source, number)
            record = await self._came_to(id)
            used = await self.database.read(usage.of_run(record.key))
            return Tried(source=source.id, version=number, run=record, usage=used.total)

    async def _came_to(self, id: str) -> RunRecord:
        """The run once it has ended, or is paused: nobody need look at that one."""
        ending, (look, most) = asyncio.ensure_future(self.ended(id, None)), _LOOKS
        try:
            while True:
                timer = asyncio.ensure_future(self.clock.sleep_until(self.clock.now() + look))
                try:
                    await asyncio.wait({ending, timer}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    timer.cancel()
                if ending.done():
                    return ending.result()
                run, look = await self.database.read(runs.get(id)), min(2 * look, most)
                if run.state is RunState.PAUSED:
                    return run
        finally:
            ending.cancel()

    async def _started(self, trial: Trial, source: RunRecord, number: int) -> str:
        held = Holding(source.key, {trial.prompt: number})
        # No tags of the run: what an experiment uses is nobody's budget.
        options = {"tags": [trial.tag], "metadata": loads(source.metadata), "idempotency_key": trial.key(number)}

        def begin(new: NewRun, now: int) -> Transaction[Started]:
            return pins.start(replace(new, started_by=trial.name, hooked=False), held, now)

        return (await self.start(source.task, source.input, options, begin)).id


async def _scored(one: Tried, source: RunRecord, scorers: Mapping[str, Scorer]) -> Scored:
    scores = {name: await _score(one, source, scorer) for name, scorer in scorers.items()}
    plain: dict[str, Any] = {"source": one.source, "version": one.version, "run": one.run.id, "state": one.run.state.value}
    return Scored(**plain, unrecorded=one.unrecorded, scores=scores)


async def _score(one: Tried, source: RunRecord, scorer: Scorer) -> float | None:
    if isinstance(scorer, str):
        return _KNOWN[scorer](one)
    if one.failed:
        return None
    said = scorer(loads(source.input), loads(one.run.output or "null"), one)
    said = await said if inspect.isawaitable(said) else said
    if said is not None and not isinstance(said, (int, float)):
        name = _scorer_name(scorer)
        raise PromptError(f"{name} said {said!r} of {one.run.id}.", hint="A scorer returns a number, a bool or None.")
    return cast("float | None", said)


def _scorers(given: Sequence[Scorer]) -> dict[str, Scorer]:
    found: dict[str, Scorer] = {_scorer_name(one): one for one in given}
    if len(found) < len(given) or not found:
        raise PromptError(
            "Scorers have names of their own, and there is one at least.", hint="Give functions, or cost, latency, tokens, failed."
        )
    return found


def _scorer_name(one: Scorer) -> str:
    if not isinstance(one, str):
        return getattr(one, "__name__", type(one).__name__)
    if one not in _KNOWN:
        raise PromptError(f"There is no scorer {one!r}.", hint=f"Give a function, or one of {', '.join(_KNOWN)}.")
    return one


def _count(given: int, what: str) -> int:
    if given < 1:
        raise PromptError(f"{what}={given} is none.", hint="Give a whole number from 1.")
    return given


def _named(versions: Sequence[int]) -> str:
    return ", ".join(f"v{one}" for one in versions)
