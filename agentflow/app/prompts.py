"""What can be done with prompts: see what is live where, release, go back, roll out, revoke."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, Unpack

from agentflow.agents.prompting import check_speakers
from agentflow.app.experiments import Ended, ExperimentOptions, Experiments, Start
from agentflow.app.fitting import check_fit, check_variables
from agentflow.app.governing import Policies, Requests
from agentflow.app.measuring import Measuring
from agentflow.app.releasing import Releases
from agentflow.app.rolling import MoveOptions, RolloutOptions, planned
from agentflow.clock import Clock, Duration, microseconds
from agentflow.database.port import Database, Row, Transaction, transaction
from agentflow.errors import PromptError
from agentflow.handle import RunHandle
from agentflow.prompts import contract
from agentflow.prompts.body import Body, canonical
from agentflow.prompts.pinning import body_of
from agentflow.prompts.registry import known
from agentflow.prompts.report import Report
from agentflow.serde import loads
from agentflow.storage import bindings, deleting, fallbacks, holders, pins, prompts, releases, requesters, runs, snapshots
from agentflow.storage.bindings import CODE, LIVE, ROLLOUT, BindingRecord, Move
from agentflow.storage.fallbacks import Fallback
from agentflow.storage.holders import HolderRecord
from agentflow.storage.pins import Holding
from agentflow.storage.policies import PolicyRecord
from agentflow.storage.prompts import Happening, NewVersion, Own, PromptEvent, VersionRecord
from agentflow.storage.releases import Target
from agentflow.storage.runs import NewRun, Started
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


class Prompts(Measuring):
    """`app.prompts`: see what is live where, and change it without a deploy. Times are microseconds since 1970.

    >>> await app.prompts.release("support", to=5, actor="maria", reason="cites the policy")
    """

    def __init__(self, database: Database, clock: Clock, environment: str, start: Start, ended: Ended, releases: Releases) -> None:
        super().__init__(database, clock, environment)
        self._start = start
        self._ended = ended
        self.releases = releases

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

    @property
    def policies(self) -> Policies:
        """What has to be before a prompt is moved."""
        return Policies(self._database, self._clock, self.environment, self.releases)

    @property
    def requests(self) -> Requests:
        """What was asked for under policies, and what became of it."""
        return Requests(self._database)

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

        Raises `ReleaseRequested` where a policy has others agree first: then it was asked for, and nothing is moved yet. Raises
        `PromptNotFound`, `VersionNotFound`, `BindingConflict`, `BindingProtected`, `ContractError` for what code cannot fill.
        """
        version = await check_fit(self._database, name, to, move.get("env") or self.environment)
        lasts = None if expires is None else microseconds(expires)
        return await self._put(name, Target(version=version.number, lasts=lasts), move)

    async def follow_code(self, name: str, **move: Unpack[MoveOptions]) -> BindingRecord:
        """Have the version hold that the code has. Raises `ReleaseRequested`, `PromptNotFound`, `BindingConflict`, `BindingProtected`."""
        return await self._put(name, Target(mode=CODE), move)

    async def rollback(self, name: str, **move: Unpack[MoveOptions]) -> BindingRecord:
        """Have hold what held before the last move; again, what held before that. No policy is asked: it leads only to what held before.

        Raises `PromptNotFound`, `BindingConflict`, `BindingProtected`, and `PromptError` when there was no move.
        """
        held = await self._change(releases.roll_back(self._move(name, move), self._clock.now()))
        self.releases.heed(held)
        return held

    async def rollout(self, name: str, *, weights: Mapping[int, float], **options: Unpack[RolloutOptions]) -> BindingRecord:
        """Have several versions hold side by side: `{3: 0.9, 5: 0.1}`. `sticky` says what keeps a version: run, thread or key.

        `baseline` is the version that all others get: who does not meet the `conditions` (`{"tags": ["beta"], "variables": {"plan":
        ["pro"]}}`: of tasks, tags, keys, threads and variables, each with what is enough), and everybody after a breach of a `guard`. With
        a `ramp` (`[("0h", 0.05), ("1h", 0.25), ("1d", 1)]`) the versions in `weights` have that share together, from so long after now on,
        and the baseline the rest. A run holds what it began with.

        Raises as `release`, and `PromptError` for what cannot be.

        >>> await app.prompts.rollout("support", weights={5: 1}, baseline=3, ramp=[("0h", 0.05), ("1d", 1)], actor="maria")
        """
        env = options.get("env") or self.environment
        plan = planned(weights, options)
        for number in plan.versions:
            await check_fit(self._database, name, number, env)
        await check_variables(self._database, name, env, plan.conditions)
        return await self._put(name, Target(mode=ROLLOUT, plan=plan), options)

    async def protect(self, name: str, *, protected: bool = True, **move: Unpack[MoveOptions]) -> BindingRecord:
        """Let only those move a binding who may (`allowed=True`), or everybody again. Raises `BindingConflict`, `BindingProtected`."""
        return await self._change(releases.protect(self._move(name, move), protected, self._clock.now()))

    async def revoke(self, name: str, number: int, *, policy: str, actor: str, reason: str = "") -> VersionRecord:
        """Take a version back. Runs that hold it do, when they go on, what `policy` says: `repin:5`, `pause` or `fail`.

        Where it is live and a policy has others agree, only a version that was live there before can stand for it.

        Raises `PromptNotFound`, `VersionNotFound` and `PromptError`.
        """
        said = Happening(type="", actor=actor, reason=reason)
        return await self._change(releases.revoke(name, number, policy, said, self._clock.now()))

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

    async def replay(
        self, run_id: str, prompts: Mapping[str, int] | Literal["current"] | None = None, *, by: str | None = None
    ) -> RunHandle[Any]:
        """Start a run as one was started, with the same input: by the versions which that held, by these instead, or by what is live now.

        It is started `by` a person. Neither they nor whoever had asked the repeated run for something may decide about what it asks, where
        requesters are excluded.

        Raises `RunNotFound`, `UnknownTask` and `VersionNotFound`.

        >>> run = await app.prompts.replay("run_0192…", prompts={"support": 5}, by="maria")
        """
        record = await self._database.read(runs.get(run_id))
        held = Holding(None if prompts == "current" else record.key, {} if prompts is None or prompts == "current" else prompts)
        options = {"tags": [one for one in record.tags if not one.startswith("thread:")], "metadata": loads(record.metadata)}
        if by is not None:
            options["started_by"] = by
        return await self._start(record.task, record.input, options, lambda new, now: _repeated(record.key, new, held, now))

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
        those that only read. `tools="live"` carries all out again: mails are sent, cards are charged. People are not asked about what is
        carried out again, but denied, and a run that asks for a form fails; one that is paused counts as failed, too. Code of a task
        outside of its steps runs in any case. Threads hear nothing of it, hooks are not called, and a sleep that the repeated run slept is
        skipped. Waits side by side and callbacks are not repeated from a record.

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
            for number in () if mine is None or current.mode == CODE else current.versions:
                version = await self.version(one.prompt, number)
                try:
                    contract.check(body_of(version.body), loads(mine.own.contract if mine else "{}"), trusting=bool(mine and mine.trusting))
                except PromptError as error:
                    found.append((one.prompt, number, error.message))
        return found

    async def _change(self, change: Transaction[T]) -> T:
        """Change the registry, and tell those who follow what is live."""
        made = await self._database.transact(change)
        self.releases.told()
        return made

    async def _check(self, name: str, which: int | str, env: str | None) -> None:
        await check_fit(self._database, name, which, env or self.environment)

    async def _put(self, name: str, target: Target, move: MoveOptions) -> BindingRecord:
        how = self._move(name, move)
        done = await self._change(releases.move(how, target, self._clock.now()))
        if isinstance(done, PolicyRecord):
            raise await self.releases.ask(how, target, done)
        self.releases.heed(done)
        return done

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


@transaction
def _repeated(source: int, new: NewRun, held: Holding, now: int) -> Transaction[Started]:
    started = yield from pins.start(new, held, now)
    yield from requesters.take_over(source, started.run.key)
    return started
