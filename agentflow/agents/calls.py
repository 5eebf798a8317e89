"""Tool calls of loops that are not ours: each is carried out once, by the id that it has, and answered in words for the model."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from agentflow.adapters import arguments, is_narrated
from agentflow.agents.answers import edited, shortened, told
from agentflow.agents.approval import AGREED, ToolCall, denial, refusal
from agentflow.agents.consent import Consent, Known, agreed, consent_of, stopped, told_by_people
from agentflow.agents.definition import Definition
from agentflow.engine.calls import in_thread
from agentflow.engine.context import StepCall, StepOptions, TaskContext, current_step
from agentflow.engine.waits import Decision
from agentflow.errors import InvalidPayload, RunError, TellModel
from agentflow.serde import ANY, digest, dumps, result_codec
from agentflow.streams.events import Event, ToolDenied, ToolError, ToolInput, ToolOutput


@dataclass(frozen=True, slots=True)
class Call:
    """A call that a model asks for; `arguments` is JSON text, `key` where the run records it."""

    id: str
    tool: str
    arguments: str
    key: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model is told."""

    text: str
    failed: bool = False


async def answer(run: TaskContext, found: Definition | None, call: Call) -> Answer:
    """Carry a call out in a run and say how it ended, to the model and to viewers. Raises what is not for the model."""
    if not is_narrated(run, call.id):
        run.publish(ToolInput(call.id, call.tool, arguments(call.arguments)))
    try:
        if found is None:
            raise TellModel(f"There is no tool {call.tool!r}.")
        return await _perform(run, found, call)
    except TellModel as error:
        await _tell(run, call, ToolError(call.id, {"code": "failed", "message": str(error)}))
        return Answer(str(error), failed=True)
    except Exception as error:
        run.publish(ToolError(call.id, {"code": "error", "message": str(error)}))
        raise


async def _perform(run: TaskContext, found: Definition, call: Call) -> Answer:
    payload = given = _checked(found, call.arguments or "{}")
    consent: Consent | None = None
    asked = _asked(run, found, call, payload)
    settled = await agreed(run, f"{call.key}/approval", asked, found.approval)
    decision = settled.decision
    if not decision.approved:
        return await _denied(run, call, decision)
    if decision.edits:
        payload = _checked(found, dumps(dict(decision.edits)))
    if found.approval is not None or settled is not AGREED:
        consent = consent_of(asked, found.approval, settled, json.loads(payload))
    if found.task is None:
        ended = await _step(run, found, call, payload, consent)
        if ended["kind"] == "tool_failed":
            return Answer(ended["message"], failed=True)
        result = ended["result"]
    else:
        result = await _child(found, call, payload)
        await _tell(run, call, ToolOutput(call.id, result))
    text = shortened(run, result if isinstance(result, str) else dumps(result), found.limit)
    return Answer(text if payload == given else f"{text}\n\n{edited(call.tool, json.loads(payload))}")


def _asked(run: TaskContext, found: Definition, call: Call, payload: str) -> ToolCall:
    arguments, shown = found.payload.arguments(payload)[1], json.loads(payload)
    made = ToolCall(call.id, call.tool, run.task, arguments, shown, found.payload.schema, found.home, found.idempotent)
    return replace(made, read=partial(_typed, found))


async def _denied(run: TaskContext, call: Call, decision: Decision) -> Answer:
    await _tell(run, call, ToolDenied(call.id, denial(decision)))
    return Answer(refusal(decision), failed=True) if not decision.stop else await run.stop(stopped(decision))


async def plainly(found: Definition, arguments: str) -> Answer:
    """Carry a call out where there is no run: nothing is recorded and nobody is asked."""
    try:
        result = await _call(found, _checked(found, arguments or "{}"))
    except Exception as error:  # noqa: BLE001 - what a tool raises is told, or raised again
        return Answer(told(error, found.errors), failed=True)
    return Answer(shortened(None, result if isinstance(result, str) else dumps(result), found.limit))


def _checked(found: Definition, arguments: str) -> str:
    try:
        return found.payload.check(arguments)
    except InvalidPayload as error:
        raise TellModel(str(error)) from None


def _typed(found: Definition, shown: Mapping[str, Any]) -> dict[str, Any]:
    return found.payload.arguments(_checked(found, dumps(dict(shown))))[1]


async def _child(found: Definition, call: Call, payload: str) -> Any:
    task: Any = found.task
    try:
        child = await task.child(call.key, payload, tool_call=call.id, final=found.errors != "raise")
    except RunError as error:
        raise TellModel(told(error, found.errors)) from error
    return json.loads(task.codec.encode(child, what=f"the result of {call.tool}"))


async def _step(run: TaskContext, found: Definition, call: Call, payload: str, consent: Consent | None) -> Any:
    """A step records what the model is told, be it a result or an error, the way that pydantic-ai's calls are recorded."""

    async def body() -> Any:
        result = await _call(found, payload)
        current_step().publish(ToolOutput(call.id, result))
        return {"kind": "tool_return", "result": result}

    def rescue(error: Exception) -> Any:
        message = told(error, found.errors)
        current_step().publish(ToolError(call.id, {"code": "failed", "message": message}))
        return {"kind": "tool_failed", "message": message}

    known = await told_by_people(run, call.key, consent)
    done = StepCall(found.name, body, ANY, digest(payload), found.options, rescue)
    if known is not None:
        done = replace(done, body=partial(_retold, call, known))
    elif consent is not None:
        done = replace(done, consent=consent.waitpoint)
    with _working(run):
        return await run.step(call.key, done)


async def _retold(call: Call, known: Known) -> Any:
    """In place of a call whose end people know."""
    failed = None if known.failed is None else ToolError(call.id, {"code": "failed", "message": known.failed})
    current_step().publish(failed or ToolOutput(call.id, known.value))
    return known.payload


async def _tell(run: TaskContext, call: Call, event: Event) -> None:
    """Tell viewers how a call ended that is no step of its own. As a step: a replay tells what nobody has told yet."""

    async def body() -> None:
        current_step().publish(event)

    await run.step(f"{call.key}/told", StepCall(call.tool, body, ANY, "", StepOptions(kind="tool")))


class _Work:
    """How many calls of a run are at work in steps; `rest` is set while none is."""

    def __init__(self) -> None:
        self.steps = 0
        self.rest = asyncio.Event()


_work: WeakKeyDictionary[TaskContext, _Work] = WeakKeyDictionary()


@contextmanager
def _working(run: TaskContext) -> Generator[None]:
    work = _work.setdefault(run, _Work())
    work.steps += 1
    work.rest.clear()
    try:
        yield
    finally:
        work.steps -= 1
        if not work.steps:
            work.rest.set()


async def at_rest(run: TaskContext) -> None:
    """Return once no call of the run is at work in a step. One that waits for a person or a child run loses nothing when it is cut off."""
    work = _work.get(run)
    if work is not None and work.steps:
        await work.rest.wait()


async def _call(found: Definition, payload: str) -> Any:
    positional, named = found.payload.arguments(payload)
    function: Callable[..., Any] = found.body if found.task is None else found.task.plain
    if inspect.iscoroutinefunction(function):
        result = await function(*positional, **named)
    else:
        result = await in_thread(function, *positional, **named)
    codec = result_codec(found.function)
    return json.loads(codec.encode(result, what=f"the result of {found.name}"))
