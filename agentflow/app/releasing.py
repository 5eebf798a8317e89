"""Moves that a policy holds back: a durable task of ours asks people and evaluations, for days if it must be, and then moves, once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, cast

from agentflow.app.fitting import check_fit
from agentflow.app.launching import Launching
from agentflow.clock import Clock
from agentflow.database.port import Database
from agentflow.engine.context import StartCall, TaskContext, WaitRequest, WaitResult
from agentflow.engine.guarding import BEGUN
from agentflow.engine.step import step
from agentflow.engine.task import Task, make_task
from agentflow.engine.waits import Decision, asked, decision, within_run
from agentflow.errors import AgentflowError, DefinitionError, PromptError, ReleaseRequested
from agentflow.prompts.body import Body
from agentflow.prompts.diff import compare, lines
from agentflow.records import OURS, RunState, WaitKind, WaitState, new_id
from agentflow.serde import decode_failure, dumps, loads
from agentflow.storage import bindings, deciding, holders, prompts, requests
from agentflow.storage.bindings import CODE, BindingRecord, Move
from agentflow.storage.policies import PolicyRecord
from agentflow.storage.policy import is_reserved
from agentflow.storage.releases import Target
from agentflow.storage.requests import RequestRecord, State, Wish
from agentflow.streams.log import PROMPTS, Streams

TASK = f"{OURS}release"
Calls = Callable[[str, str], Awaitable[StartCall]]
"""How a task is called by its name with a payload of JSON text."""


class Releases:
    """Asks for moves, and carries them out once they are agreed to."""

    def __init__(self, database: Database, streams: Streams, clock: Clock, launching: Callable[[], Launching], calls: Calls) -> None:
        self._database = database
        self._streams = streams
        self._clock = clock
        self._launching = launching
        self._calls = calls

    @cached_property
    def task(self) -> Task[..., Any]:
        """The task, made where one works or asks: it loads pydantic."""
        return make_task(self.release, {"name": TASK})

    def told(self) -> None:
        """Tell those who follow what is live that something has changed."""
        self._streams.signal(PROMPTS, "")

    def heed(self, moved: BindingRecord) -> None:
        """Have somebody watch over a rollout with guards."""
        if moved.rolled is not None and moved.rolled.plan.guards:
            self._streams.signal(BEGUN, "")

    async def check(self, policy: PolicyRecord) -> None:
        """Raise `DefinitionError` for a policy that nobody could meet, and `UnknownTask` for one whose evaluation nobody knows."""
        if policy.people < 0:
            raise DefinitionError(f"{policy.people} people cannot agree.", hint="Give a number from 0.")
        asked(_asking(policy.told, ""))
        if policy.gate is not None:
            await self._calls(policy.gate, dumps({"prompt": policy.prompt, "version": 0, "env": policy.env}))

    async def ask(self, how: Move, target: Target, policy: PolicyRecord) -> ReleaseRequested:
        """Ask for a move; returns what is told to whoever wants it.

        Raises as `requests.ask`, and `DefinitionError` where nobody could agree.
        """
        asked(_asking(policy.told, how.actor))
        now = self._clock.now()
        waitpoint = new_id("wp", now) if policy.people else None
        wish = Wish(id=new_id("req", now), move=how, target=target, policy=policy.id, waitpoint=waitpoint)
        named = {} if is_reserved(how.actor) else {"started_by": how.actor}
        task = self.task.using(tags=[f"prompt:{how.prompt}"], metadata={"request": wish.id}, **named)
        call = replace(task.call(dumps({"request": wish.id, "policy": policy.told})), detached=True)
        run_id = await self._launching().launch(call, lambda new, now: requests.ask(new, wish, now))
        who = [f"{policy.people} people" if policy.people > 1 else "one person"] if policy.people else []
        needs = " and ".join([*([f"the evaluation {policy.gate}"] if policy.gate else []), *who])
        hint = f"Nothing is moved before that. Decide about {waitpoint}." if waitpoint else f"Nothing is moved before that. See {run_id}."
        message = f"It was asked for: {how.prompt} in {how.env} is moved once it has the yes of {needs}."
        return ReleaseRequested(message, hint=hint, prompt=how.prompt, request=wish.id, run=run_id, waitpoint=waitpoint)

    async def release(self, request: str, policy: dict[str, Any]) -> dict[str, Any]:
        """Move a prompt once those agree whom its policy names."""
        run = within_run(TASK)
        try:
            return await self._agreed(run, request, policy)
        except AgentflowError as error:
            # As an evaluation that is nowhere any more: whoever asked is told, and nothing is moved.
            return await step(self._give_up, name="end")(request, run.run_id, {"why": error.message})

    async def _agreed(self, run: TaskContext, request: str, policy: Mapping[str, Any]) -> dict[str, Any]:
        seen = await step(self._look, name="look")(request)
        agreed: dict[str, Any] = {}
        if policy.get("gate"):
            agreed["evaluations"] = await self._evaluate(run, policy["gate"], seen)
            if not all(one["passed"] for one in agreed["evaluations"].values()):
                why = {**agreed, "by": f"task:{policy['gate']}", "why": "The evaluation did not pass."}
                return await step(self._give_up, name="end")(request, run.run_id, why)
        if policy.get("people"):
            said = await self._ask_people(run, policy, seen, agreed)
            if not said.approved or said.edits:
                why = "It was agreed to something else." if said.edits else "expired" if said.expired else said.reason
                return await step(self._give_up, name="end")(request, run.run_id, {**agreed, "by": said.by, "why": why})
            agreed["by"] = said.by
        return await step(self._carry_out, name="move")(request, run.run_id, agreed)

    # -- what it asks --------------------------------------------------------------------------------------------------------------------

    async def _look(self, request: str) -> dict[str, Any]:
        """What is asked for, and what it would change."""
        one = await self._database.read(requests.get(request))
        before = await self._database.read(bindings.get(one.prompt, one.env, one.label))
        live: Sequence[int] = () if before is None else before.at(self._clock.now()).versions
        code = None if before is None else before.code
        numbers = one.target.numbers if one.target.mode != CODE else [] if code is None else [code]
        fits = [f"v{each}: {await self._fit(one, each)}" for each in numbers if one.target.mode != CODE]
        return {
            "request": one.id,
            "prompt": one.prompt,
            "env": one.env,
            "actor": one.actor,
            "waitpoint": one.waitpoint,
            "title": f"{_wish(one, code)} of {one.prompt} in {one.env}?",
            "said": f"{one.actor} asks for it{f': {one.reason}' if one.reason else '.'}",
            "changes": [await self._changes(one.prompt, live, each) for each in numbers if each not in live],
            "fits": fits,
            "held": await self._held(one.prompt, [each for each in live if each not in numbers]),
            "new": [each for each in numbers if each not in live],
        }

    async def _fit(self, one: RequestRecord, number: int) -> str:
        try:
            await check_fit(self._database, one.prompt, number, one.env)
        except PromptError as error:
            return error.message
        return f"the code deployed in {one.env} can fill it."

    async def _changes(self, prompt: str, live: Sequence[int], number: int) -> str:
        after = Body.from_json((await self._database.read(prompts.find(prompt, number))).body)
        if not live:
            return f"Nothing is live; v{number} would be the first."
        before = Body.from_json((await self._database.read(prompts.find(prompt, live[0]))).body)
        return "\n".join([f"v{live[0]} → v{number}", *lines(compare(before, after))])

    async def _held(self, prompt: str, left: Sequence[int]) -> list[str]:
        """Who keeps what is live no more."""
        told: list[str] = []
        for number in left:
            found = await self._database.read(holders.of_prompt(prompt, number))
            asleep = sum(one.state == RunState.WAITING for one in found)
            told += [f"{len(found)} {'run keeps' if len(found) == 1 else 'runs keep'} v{number}, {asleep} asleep."] if found else []
        return told

    async def _evaluate(self, run: TaskContext, gate: str, seen: Mapping[str, Any]) -> dict[str, Any]:
        """What the task says of each version that is new."""
        found: dict[str, Any] = {}
        for number in seen["new"]:
            payload = dumps({"prompt": seen["prompt"], "version": number, "env": seen["env"]})
            call = replace(await self._calls(gate, payload), detached=False)
            result = await run.child(run.key(gate, f"v{number}"), call)
            found[f"v{number}"] = _verdict(result)
        return found

    async def _ask_people(
        self, run: TaskContext, policy: Mapping[str, Any], seen: Mapping[str, Any], agreed: Mapping[str, Any]
    ) -> Decision:
        results = [f"{name}: {policy['gate']} says {dumps(said)}" for name, said in agreed.get("evaluations", {}).items()]
        parts = ["\n".join([seen["said"], *seen["held"]]), *seen["changes"], "\n".join([*seen["fits"], *results])]
        told = {"title": seen["title"], "body": "\n\n".join(part for part in parts if part)}
        subject = {**told, **asked(_asking(policy, seen["actor"]))}
        due, waitpoint = policy.get("lasts"), seen["waitpoint"]
        request = WaitRequest(kind=WaitKind.APPROVAL, subject=subject, due_after=due, id=waitpoint, excludes=True)
        return decision(await run.wait(run.key("approve"), request))

    # -- how it ends ---------------------------------------------------------------------------------------------------------------------

    async def _carry_out(self, request: str, run_id: str, agreed: dict[str, Any]) -> dict[str, Any]:
        one = await self._database.read(requests.get(request))
        votes = () if one.waitpoint is None else await self._database.read(deciding.votes(one.waitpoint))
        who = sorted({row["actor"] for row in votes if row["counted"] and row["choice"] == "approve"})
        told = {**agreed, **({"people": who} if who else {})}
        for number in one.target.numbers:
            try:
                await check_fit(self._database, one.prompt, number, one.env)
            except PromptError as error:
                return _outcome(await self._end(request, run_id, "conflict", {**told, "code": error.code, "why": error.message}))
        done = await self._database.transact(requests.carry_out(request, run_id, told, self._clock.now()))
        self.told()
        moved = await self._database.read(bindings.get(one.prompt, one.env, one.label))
        if moved is not None:
            self.heed(moved)
        return _outcome(done)

    async def _give_up(self, request: str, run_id: str, why: dict[str, Any]) -> dict[str, Any]:
        return _outcome(await self._end(request, run_id, "denied", why))

    async def _end(self, request: str, run_id: str, state: State, why: Mapping[str, Any]) -> RequestRecord:
        told = {name: value for name, value in why.items() if value is not None}
        return await self._database.transact(requests.give_up(request, run_id, state, told, self._clock.now()))


def _asking(policy: Mapping[str, Any], actor: str) -> Any:
    who = {name: policy[name] for name in ("users", "groups", "notify") if policy.get(name)}
    return {**who, "need": max(1, policy.get("people") or 1), "requester": actor}


def _verdict(result: WaitResult) -> dict[str, Any]:
    """What an evaluation says: nothing but `passed: true` lets a version pass."""
    if result.state is not WaitState.ANSWERED:
        return {"passed": False, "error": decode_failure(result.answer).message if result.answer else result.state.value}
    said = loads(result.answer or "null")
    told = cast("dict[str, Any]", said) if isinstance(said, dict) else {"said": said}
    return {**told, "passed": told.get("passed") is True}


def _wish(one: RequestRecord, code: int | None) -> str:
    if one.target.mode == CODE:
        return f"Go by the code, v{code},"
    if one.target.plan is not None:
        return f"Roll out {', '.join(f'v{number}' for number in one.target.plan.versions)}"
    return f"Release v{one.target.version}"


def _outcome(one: RequestRecord) -> dict[str, Any]:
    return {"request": one.id, "state": one.state, **one.outcome}
