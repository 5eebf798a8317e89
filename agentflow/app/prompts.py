"""What can be done with prompts: see what is live where, release, go back, roll out, revoke."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Required, TypedDict, TypeVar, Unpack

from agentflow.agents.prompting import check_speakers
from agentflow.app.experiments import Ended, ExperimentOptions, Experiments, Start
from agentflow.app.measuring import Measuring
from agentflow.clock import Clock, Duration, microseconds
from agentflow.database.port import Database, Row, Transaction
from agentflow.errors import ContractError, PromptError
from agentflow.handle import RunHandle
from agentflow.prompts import contract
from agentflow.prompts.body import Body, canonical
from agentflow.prompts.pinning import body_of
from agentflow.prompts.registry import known
from agentflow.prompts.report import Report
from agentflow.serde import loads
from agentflow.storage import bindings, deleting, fallbacks, holders, pins, prompts, runs, snapshots
from agentflow.storage.bindings import CODE, LIVE, BindingRecord, Move
from agentflow.storage.fallbacks import Fallback
from agentflow.storage.holders import HolderRecord
from agentflow.storage.pins import Holding
from agentflow.storage.prompts import Happening, NewVersion, Own, PromptEvent, VersionRecord
from agentflow.storage.snapshots import Snapshot
from agentflow.storage.statements import SQL

T = TypeVar("T")
_log = logging.getLogger("agentflow.prompts")


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptRecord:
    """A prompt as it is now. `contract` is the JSON schema of its variables, `live` what holds in the environment that was asked for.

    `contract` and `trusting` (whether text from outside may stand in system messages) are those of the code deployed there, and of the
    newest code where none is. `bindings` are those of all environments; `code_hash` is of the body that the code deployed there has,
    `code_ahead` whether another version than that is live.
    """

    name: str
    description: str
    contract: Mapping[str, Any]
    trusting: bool
    versions: int
    created_at: int
    live: BindingRecord | None
    bindings: tuple[BindingRecord, ...]
    code_hash: str | None
    code_ahead: bool


class MoveOptions(TypedDict, total=False):
    """Which binding is moved, by whom and why; only `actor` is required.

    `env` (default: this app's) and `label` (default: live) name it. `expect_rev`: only if it was not moved since; `allowed`: whether a
    protected one may be moved (default: yes).
    """

    actor: Required[str]
    reason: str
    env: str | None
    label: str
    expect_rev: int | None
    allowed: bool


class Prompts(Measuring):
    """`app.prompts`: see what is live where, and change it without a deploy. Times are microseconds since 1970.

    >>> await app.prompts.release("support", to=5, actor="maria", reason="cites the policy")
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        environment: str,
        start: Start,
        ended: Ended,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(database, clock, environment)
        self._start = start
        self._ended = ended
        self._changed = changed

    # -- what there is -------------------------------------------------------------------------------------------------------------------

    async def list(self, env: str | None = None) -> list[PromptRecord]:
        """All prompts, by name, with what is live in an environment (default: this one's)."""
        return [await self._record(row, env) for row in await self._database.fetch(SQL.prompts.list(env=env or self.environment))]

    async def get(self, name: str, env: str | None = None) -> PromptRecord:
        """One prompt. Raises `PromptNotFound`."""
        found = await self._database.fetch(SQL.prompts.get(name=name, env=env or self.environment))
        if not found:
            raise prompts.not_found(name)
        return await self._record(found[0], env)

    async def versions(self, name: str) -> list[VersionRecord]:
        """All versions, the newest first. Raises `PromptNotFound`."""
        await self.get(name)
        return list(await self._database.read(prompts.of_prompt(name)))

    async def version(self, name: str, which: int | str) -> VersionRecord:
        """A version by its number or hash. Raises `VersionNotFound`."""
        return await self._database.read(prompts.find(name, which))

    async def events(self, name: str, env: str | None = None, after: int = 0) -> list[PromptEvent]:
        """What happened to a prompt after event `after`, oldest first, 200 at most. Raises `PromptNotFound`."""
        await self.get(name)
        return list(await self._database.read(prompts.events(name, env, after)))

    async def pins(self, name: str, version: int | None = None) -> list[HolderRecord]:
        """The runs that hold a version, or any, and have not ended; 1,000 at most. Raises `PromptNotFound`."""
        await self.get(name)
        return await self._database.read(holders.of_prompt(name, version))

    async def snapshot(self, env: str | None = None) -> Snapshot:
        """What is live in an environment."""
        return await self._database.read(snapshots.of_env(env or self.environment, self._clock.now()))

    async def _record(self, row: Row, env: str | None) -> PromptRecord:
        now, name = self._clock.now(), row["name"]
        found = tuple(one.at(now) for one in await self._database.read(bindings.of_prompt(name)))
        live = next((one for one in found if (one.env, one.label) == (env or self.environment, LIVE)), None)
        code = None if live is None or live.code is None else await self._database.fetch(SQL.prompts.version(prompt=name, number=live.code))
        return PromptRecord(
            name=name,
            description=row["description"],
            contract=loads(row["contract"]),
            trusting=bool(row["trusting"]),
            versions=row["versions"],
            created_at=row["created_at"],
            live=live,
            bindings=found,
            code_hash=code[0]["hash"] if code else None,
            code_ahead=live is not None and live.ahead,
        )

    # -- what changes it -----------------------------------------------------------------------------------------------------------------

    async def save(self, name: str, body: Body, *, actor: str, note: str = "", source: str = "api") -> VersionRecord:
        """Keep a body as a version; one with the same hash is the version that there is. It is not live before it is released.

        Raises `PromptNotFound`, `ContractError` for a body that uses what code does not give it, or that an agent of this process cannot
        speak by, `TemplateError`.
        """
        record = await self.get(name)
        contract.check(body, record.contract, trusting=record.trusting)
        check_speakers(name, body)
        new = NewVersion(prompt=name, hash=body.hash, body=body.json, source=source, actor=actor, note=note)
        return await self._change(prompts.save(new, self._clock.now()))

    async def create(self, name: str, body: Body, schema: Mapping[str, Any], *, actor: str, source: str = "import") -> VersionRecord:
        """Keep a version of a prompt that no code may have yet, as an import brings it; `schema` is that of its variables.

        Raises `ContractError` and `TemplateError`.
        """
        contract.check(body, schema)
        own = Own(name, body.hash, body.json, canonical(dict(schema)))
        return await self._change(prompts.create(own, source, actor, self._clock.now()))

    async def keep(self, own: Own, *, actor: str, note: str = "") -> VersionRecord:
        """Keep a version as an import brings it: it need not fit what code gives it today, which is asked when it is released."""
        return await self._change(prompts.create(own, "import", actor, self._clock.now(), note))

    async def release(self, name: str, *, to: int | str, expires: Duration | None = None, **move: Unpack[MoveOptions]) -> BindingRecord:
        """Have a version hold in an environment, whatever is deployed; after `expires` it follows the code again.

        Raises `PromptNotFound`, `VersionNotFound`, `BindingConflict`, `BindingProtected`, `ContractError` for what code cannot fill.
        """
        await self._check(name, to, move.get("env"))
        now = self._clock.now()
        until = None if expires is None else now + microseconds(expires)
        return await self._change(bindings.release(self._move(name, move), to, until, now))

    async def follow_code(self, name: str, **move: Unpack[MoveOptions]) -> BindingRecord:
        """Have the version hold that the code has. Raises `PromptNotFound`, `BindingConflict`, `BindingProtected`."""
        return await self._change(bindings.follow_code(self._move(name, move), self._clock.now()))

    async def rollback(self, name: str, **move: Unpack[MoveOptions]) -> BindingRecord:
        """Have hold what held before the last move; again, what held before that.

        Raises `PromptNotFound`, `BindingConflict`, `BindingProtected`, and `PromptError` when there was no move.
        """
        return await self._change(bindings.roll_back(self._move(name, move), self._clock.now()))

    async def rollout(self, name: str, *, weights: Mapping[int, float], sticky: str = "run", **move: Unpack[MoveOptions]) -> BindingRecord:
        """Have several versions hold side by side: `{3: 0.9, 5: 0.1}`. `sticky` says what keeps a version: run, thread or key.

        Raises as `release`, and `PromptError` for weights that are none.
        """
        for number in weights:
            await self._check(name, number, move.get("env"))
        return await self._change(bindings.roll_out(self._move(name, move), weights, sticky, self._clock.now()))

    async def protect(self, name: str, *, protected: bool = True, **move: Unpack[MoveOptions]) -> BindingRecord:
        """Let only those move a binding who may (`allowed=True`), or everybody again. Raises `BindingConflict`, `BindingProtected`."""
        return await self._change(bindings.protect(self._move(name, move), protected, self._clock.now()))

    async def revoke(self, name: str, number: int, *, policy: str, actor: str, reason: str = "") -> VersionRecord:
        """Take a version back. Runs that hold it do, when they go on, what `policy` says: `repin:5`, `pause` or `fail`.

        Raises `PromptNotFound`, `VersionNotFound` and `PromptError`.
        """
        said = Happening(type="", actor=actor, reason=reason)
        return await self._change(prompts.revoke(name, number, policy, said, self._clock.now()))

    async def delete_version(self, name: str, number: int, *, actor: str, reason: str = "") -> VersionRecord:
        """Delete a version that nobody needs; its number is never used again.

        Raises `PromptNotFound`, `VersionNotFound`, and `VersionInUse` for one that is live somewhere, that the code has, that a rollback
        would bring back, that stands for a revoked one, that a thread or a run that has not ended holds, or that model calls spoke which
        are still kept.
        """
        said = Happening(type="", actor=actor, reason=reason)
        return await self._change(deleting.delete_version(name, number, said, self._clock.now()))

    async def repin(self, run_id: str, name: str, *, to: int | str, actor: str, reason: str = "") -> VersionRecord:
        """Have a run hold another version from its next lease on, also one that has not asked yet.

        What its code insists on is moved only once that is revoked. Raises `RunNotFound`, `RunError`, `PromptNotFound`, `VersionNotFound`,
        `PromptError`.
        """
        said = Happening(type="", actor=actor, reason=reason)
        return await self._change(pins.repin(run_id, name, to, said, self._clock.now()))

    async def upgrade(self, thread: str, name: str, *, actor: str, reason: str = "") -> bool:
        """Have the next run of a thread take what is live then; False where it holds nothing. Raises `PromptNotFound`."""
        said = Happening(type="", actor=actor, reason=reason)
        return await self._change(pins.upgrade(thread, name, said, self._clock.now()))

    async def replay(self, run_id: str, prompts: Mapping[str, int] | Literal["current"] | None = None) -> RunHandle[Any]:
        """Start a run as one was started, with the same input: by the versions which that held, by these instead, or by what is live now.

        Raises `RunNotFound`, `UnknownTask` and `VersionNotFound`.

        >>> run = await app.prompts.replay("run_0192…", prompts={"support": 5})
        """
        record = await self._database.read(runs.get(run_id))
        held = Holding(None if prompts == "current" else record.key, {} if prompts is None or prompts == "current" else prompts)
        options = {"tags": [one for one in record.tags if not one.startswith("thread:")], "metadata": loads(record.metadata)}
        return await self._start(record.task, record.input, options, lambda new, now: pins.start(new, held, now))

    async def fell_back(self, told: Sequence[Fallback], *, actor: str, env: str | None = None) -> int:
        """Write an event for each reason why a prompt was filled without the registry; returns how many were written."""
        return await self._database.transact(fallbacks.tell(told, env or self.environment, actor, self._clock.now()))

    async def experiment(self, name: str, **options: Unpack[ExperimentOptions]) -> Report:
        """Start runs that ended anew by several `versions`, and score what comes of them.

        `runs` by their ids, or the `last` (20) that held the prompt in any version and ended, are repeated with the same input, by each of
        the versions, `concurrency` (4) side by side. `scorers` are functions (sync or async) of input, output and the run as `Tried`, which
        return a number, a bool or None, and names: cost, latency, tokens, failed.

        **Models are asked anew, and that costs money. What else the runs do is not done again** unless you say so: tools, steps, questions
        to people and child runs that ask no model are answered from what the repeated run recorded for the same arguments. A run that asks
        for something else fails, with `NotRecorded`, and counts as failed. `live` names tools, steps and tasks that may be called again, as
        those that only read. `tools="live"` carries all out again: mails are sent, cards are charged; people are not asked even so, but
        denied. Code of a task outside of its steps runs in any case. Threads hear nothing of it, hooks are not called, and a sleep that the
        repeated run slept is skipped. Waits side by side and callbacks are not repeated from a record.

        The runs have the tag `experiment:<id>`. A killed experiment goes on when it is asked for again with its `id`: no run starts twice.
        The events of the prompt say who began it (`actor`, `reason`).

        Raises `PromptNotFound`, `VersionNotFound`, `ContractError`, `RunNotFound`, `UnknownTask` and `PromptError`.

        >>> report = await app.prompts.experiment("support", versions=[3, 5], last=50, scorers=[cites_policy, "cost"], actor="maria")
        >>> print(report)
        """
        return await Experiments(self._database, self._clock, self._start, self._ended, self._check).run(name, options)

    # -- what code asks ------------------------------------------------------------------------------------------------------------------

    async def deploy(self, actor: str) -> Sequence[BindingRecord]:
        """Register the prompts of this process; returns the bindings that stay with another version than the code has."""
        mine = [one.own for one in list(known.values())]
        changed = await self._database.read(bindings.undeployed(mine, self.environment)) if mine else []
        if not changed:
            return ()
        behind = await self._change(bindings.deploy(changed, self.environment, actor, self._clock.now()))
        for one in behind:
            _log.warning("%s: v%s is live in %s, the code has v%s", one.prompt, one.number, one.env, one.code)
        for name, number, problem in await self.conflicts():
            _log.warning("%s: the code cannot fill v%s, and goes by its own version: %s", name, number, problem)
        return behind

    async def conflicts(self) -> list[tuple[str, int, str]]:
        """What is live here and this code cannot fill: prompt, version, and why. For a check before a deploy."""
        found: list[tuple[str, int, str]] = []
        for one in await self._database.read(bindings.of_env(self.environment)):
            mine = known.get(one.prompt)
            current = one.at(self._clock.now())
            for number in [] if mine is None or current.mode == CODE else current.weights or [current.number or 0]:
                version = await self.version(one.prompt, number)
                try:
                    contract.check(body_of(version.body), loads(mine.own.contract if mine else "{}"), trusting=bool(mine and mine.trusting))
                except PromptError as error:
                    found.append((one.prompt, number, error.message))
        return found

    async def _change(self, change: Transaction[T]) -> T:
        """Change the registry, and tell those who follow what is live."""
        made = await self._database.transact(change)
        self._changed()
        return made

    def _move(self, name: str, move: MoveOptions) -> Move:
        return Move(
            prompt=name,
            env=move.get("env") or self.environment,
            label=move.get("label", LIVE),
            actor=move["actor"],
            reason=move.get("reason", ""),
            expect_rev=move.get("expect_rev"),
            allowed=move.get("allowed", True),
        )

    async def _check(self, name: str, which: int | str, env: str | None) -> None:
        """What the code deployed there cannot fill is not released."""
        record, version = await self.get(name, env), await self.version(name, which)
        try:
            contract.check(body_of(version.body), record.contract, trusting=record.trusting)
            check_speakers(name, body_of(version.body))
        except ContractError as error:
            raise ContractError(f"v{version.number} of {name}: {error.message}", hint=error.hint, **error.details) from error
