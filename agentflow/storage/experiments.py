"""Experiments with prompts: which versions are compared over which runs, told once as an event of the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from agentflow.database.port import Transaction, transaction
from agentflow.records import RunRecord
from agentflow.serde import dumps, loads
from agentflow.storage import prompts, runs
from agentflow.storage.policy import TRIAL
from agentflow.storage.prompts import Happening
from agentflow.storage.statements import SQL

_TYPE = "experiment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """What is compared: `versions` of a prompt over `runs`, by their ids. `tools`: whether what those runs recorded answers its trials
    (recorded) or all is carried out again (live); `live` are the names of tools, steps and tasks that are carried out again at any rate.
    """

    id: str
    prompt: str
    versions: Sequence[int]
    runs: Sequence[str]
    tools: str
    live: Sequence[str]


@dataclass(frozen=True, slots=True)
class Trial:
    """Whose name a run of an experiment is in, and those below it: `of` is the run that it repeats, nothing where there is none."""

    prompt: str
    experiment: str
    of: str

    @property
    def tag(self) -> str:
        """The tag of all runs of the experiment."""
        return f"{TRIAL}{self.experiment}"

    def key(self, version: int) -> str:
        """The idempotency key of the run that repeats that one by a version."""
        return f"{self.name}:v{version}"

    @property
    def name(self) -> str:
        """What a run says of who started it."""
        return f"{TRIAL}{self.prompt}:{self.experiment}:{self.of}"

    @classmethod
    def read(cls, started_by: str | None) -> Trial | None:
        """What `name` told; None for a run that is no trial."""
        if started_by is None or not started_by.startswith(TRIAL):
            return None
        parts = started_by.removeprefix(TRIAL).split(":")
        # People could be called so before there were experiments.
        return cls(*parts) if len(parts) == 3 else None

    def below(self, of: str) -> Trial:
        """That of a run below it, which repeats another run, or none."""
        return replace(self, of=of)


@transaction
def begin(wanted: Experiment, said: Happening, now: int) -> Transaction[Experiment]:
    """The experiment of that id: the one that began already, or from now on this one. Raises `PromptNotFound`."""
    yield from prompts.lock(wanted.prompt)
    there = yield from find(wanted.prompt, wanted.id)
    if there is None:
        yield from prompts.tell(wanted.prompt, replace(said, type=_TYPE, after=dumps(asdict(wanted))), now)
    return there or wanted


def find(prompt: str, id: str) -> Transaction[Experiment | None]:
    """An experiment that began."""
    for row in (yield SQL.prompts.happened(prompt=prompt, type=_TYPE)):
        told = loads(row["after"])
        if told["id"] == id:
            return Experiment(**told)
    return None


def tried(run: RunRecord) -> Transaction[int | None]:
    """Which version a run of an experiment tries, or one below it: the first one above it has it in its key."""
    [top] = yield SQL.runs.root(run=run.key)
    number = ((yield from runs.get(top["id"])).idempotency_key or "").rpartition(":v")[2]
    return int(number) if number.isdecimal() else None


def trials(experiment: str) -> Transaction[dict[str, str]]:
    """The runs of an experiment, by their idempotency keys: those that failed, too, whose keys count no more."""
    tag = Trial("", experiment, "").tag
    return {row["idempotency_key"]: row["id"] for row in (yield SQL.tags.runs(tag=tag))}


def last_runs(prompt: str, limit: int) -> Transaction[list[str]]:
    """The last runs that ended and held a version, the newest first."""
    found = yield SQL.pins.finished(prompt=prompt, trials=f"{TRIAL}%", limit=limit)
    return [row["id"] for row in found]
