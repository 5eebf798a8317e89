"""Asking people for more than a yes or no: a typed form."""

from __future__ import annotations

from itertools import count
from typing import Any, TypeVar, Unpack, cast

from agentflow.clock import Duration, microseconds
from agentflow.engine.context import WaitRequest, WaitResult
from agentflow.engine.ladder import Telling, telling
from agentflow.engine.waits import within_run
from agentflow.errors import DefinitionError, UnserializableValue, WaitpointError, WaitpointTimedOut
from agentflow.records import WaitKind, WaitState
from agentflow.serde import codec, decode_failure, json_schema, loads
from agentflow.storage.policy import person_of

T = TypeVar("T")


async def ask(
    model: type[T],
    *,
    title: str = "",
    body: Any = None,
    assign: str | None = None,
    default: T | None = None,
    expires: Duration | None = "7d",
    exclude_requester: bool = False,
    **told: Unpack[Telling],
) -> T:
    """Ask people to fill in a form, and wait for as long as it takes.

    `model` is what the answer must be: a pydantic model, a dataclass, any type that JSON can say. Its JSON schema is the form. An answer
    that does not fit is refused where it is given; what only the model's own validators refuse is asked for again, saying why. `title` and
    `body` are shown, `assign` names who alone may answer ("user:maria", "group:ops"), `expires` is a duration after which `default` is the
    answer. `exclude_requester`: whoever started the run, or sent it a message, where that is known, cannot answer. `notify`, `remind` and
    `escalate` are those of `approve`.

    Raises `WaitpointTimedOut` when nobody answered and there is no default, and `WaitpointError` when the question was taken back.

    >>> choice = await ask(Shipping, title="How to ship?", assign="user:maria", default=Shipping(carrier="ups"), expires="2d")
    """
    run, form = within_run("ask()"), codec(model)
    key = run.key("ask")
    subject: dict[str, Any] = {"title": title or _name(model), "body": body, **_assigned(assign), **telling(told)}
    if default is not None:
        subject["default"] = loads(form.encode(default, what="the default of ask()"))
    due, schema = None if expires is None else microseconds(expires), json_schema(model)
    for again in count():
        request = WaitRequest(kind=WaitKind.INPUT, subject=subject, schema=schema, due_after=due, excludes=exclude_requester)
        result = await run.wait(f"{key}/{again}" if again else key, request)
        if result.state is WaitState.TIMED_OUT and default is not None:
            return cast("T", form.decode(form.encode(default, what="the default of ask()"), what="the default of ask()"))
        answer = answered(result)
        try:
            return cast("T", form.decode(answer, what=f"the answer to {result.id}"))
        except UnserializableValue as error:
            subject["problem"] = error.message
    raise AssertionError  # The count has no end.


def answered(result: WaitResult) -> str:
    """The answer of a waitpoint, as JSON text. Raises `WaitpointTimedOut`, and `WaitpointError` for one that ended in another way."""
    if result.state is WaitState.ANSWERED:
        return result.answer or "null"
    told = decode_failure(result.answer).message if result.answer else f"It ended as {result.state.value}."
    kind = WaitpointTimedOut if result.state is WaitState.TIMED_OUT else WaitpointError
    raise kind(f"{result.id} was not answered: {told}", hint="Ask again, or go on without an answer.", waitpoint_id=result.id)


def _assigned(to: str | None) -> dict[str, list[str]]:
    """Who alone may answer, as a waitpoint stores it."""
    if to is None:
        return {}
    name = to.removeprefix("group:") if to.startswith("group:") else person_of(to)
    if not name:
        raise DefinitionError(f"Nobody is {to!r}.", hint='Write who is to answer as "user:maria" or "group:ops".')
    return {"groups" if to.startswith("group:") else "users": [name]}


def _name(model: Any) -> str:
    return getattr(model, "__name__", None) or repr(model)
