"""The answers that an AG-UI client sends along: each is looked up among the questions that were really asked."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from agentflow.app import Agentflow
from agentflow.errors import InvalidAnswer, WaitpointAlreadyAnswered, WaitpointError, WaitpointNotFound, WaitpointTimedOut
from agentflow.records import RunRecord, WaitKind, WaitpointRecord, WaitState
from agentflow.serde import loads
from agentflow.server.projections.agui_input import Approved, ResumeEntry
from agentflow.storage.policy import Voter

_DISMISSED = "The question was dismissed."


class InterruptsOpen(WaitpointError):
    """People were asked something that this request does not answer. `details["interrupts"]`: the ids."""

    code = "interrupts_open"
    http_status = 409


@dataclass(frozen=True, slots=True)
class _Answer:
    asked: WaitpointRecord
    value: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers to all the open questions of `run`; nothing is answered yet."""

    run: RunRecord
    pending: Sequence[_Answer]

    async def give(self, app: Agentflow, by: str | Voter) -> None:
        """Answer. Raises `WaitpointAlreadyAnswered` and `WaitpointTimedOut` where somebody was quicker, and said something else."""
        for one in self.pending:
            try:
                await app.waitpoints.answer(one.asked.id, one.value, by=by)
            except (WaitpointAlreadyAnswered, WaitpointTimedOut):
                _ended(_Answer(await app.waitpoints.get(one.asked.id), one.value))


async def read_answers(app: Agentflow, agent: str, thread: str, entries: Sequence[ResumeEntry]) -> Answers:
    """The answers to the questions of a run of a conversation: all of them, or none counts. The same answers again change nothing.

    Those of the runs that it waits for may come at any time, so they may be answered one by one.

    Raises `WaitpointNotFound`, `InterruptsOpen`, `InvalidAnswer`, `WaitpointAlreadyAnswered` (otherwise) and `WaitpointTimedOut`.
    """
    asked = [await _asked(app, entry) for entry in entries]
    run = await _run(app, agent, thread, asked)
    own = [one for one in await app.runs.asked_of(run.id) if one.run_id == run.id]
    _complete(run, own, {one.id for one in asked})
    answers = [_Answer(one, _read(entry, one)) for entry, one in zip(entries, asked, strict=True)]
    return Answers(run, [one for one in answers if not _ended(one)])


async def check_answered(app: Agentflow, agent: str, thread: str) -> None:
    """Raise `InterruptsOpen` when a run of the conversation waits for people: it goes on with their answers, not beside them."""
    for run in await app.runs.list(task=agent, tag=f"thread:{thread}", status="waiting", limit=10):
        _complete(run, await app.runs.asked_of(run.id), set())


def _complete(run: RunRecord, asked: Sequence[WaitpointRecord], answered: set[str]) -> None:
    missing = [one.id for one in asked if one.id not in answered]
    if missing:
        raise InterruptsOpen(
            f"{run.id} waits for more answers: {', '.join(missing)}.",
            hint="Answer every open interrupt in `resume`; POST the ids of the run that was interrupted to be told of them again.",
            interrupts=missing,
        )


async def _asked(app: Agentflow, entry: ResumeEntry) -> WaitpointRecord:
    with suppress(WaitpointNotFound):
        one = await app.waitpoints.get(entry.interrupt_id)
        if one.kind is WaitKind.APPROVAL and one.run_id is not None:
            return one
    raise _unknown(entry.interrupt_id)


async def _run(app: Agentflow, agent: str, thread: str, asked: Sequence[WaitpointRecord]) -> RunRecord:
    """The run in which all of these questions stand: the one that asks, or one that waits for that."""
    places = [{sight.run_id for sight in await app.waitpoints.shown_in(one) if sight.thread == thread} for one in asked]
    for run_id in sorted(places[0].intersection(*places)):
        run = await app.runs.get(run_id)
        if run.task == agent:
            return run
    raise _unknown(", ".join(one.id for one in asked))


def _unknown(ids: str) -> WaitpointNotFound:
    return WaitpointNotFound(f"No interrupt of this conversation is {ids!r}.", hint="Send back the ids of one RUN_FINISHED as they came.")


def _read(entry: ResumeEntry, asked: WaitpointRecord) -> dict[str, Any]:
    """What the entry decides, as an approval is answered."""
    if entry.status == "cancelled":
        return {"approved": False, "reason": _DISMISSED}
    try:
        said = Approved.model_validate(entry.payload)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        at = ".".join(map(str, problem["loc"])) or "payload"
        raise InvalidAnswer(
            f"This answers no interrupt: {at}: {problem['msg']}.", hint='Send {"approved": true}, with "editedArgs" or "reason".'
        ) from None
    if said.edited_args is not None and (not said.approved or loads(asked.subject).get("can_edit") is False):
        raise InvalidAnswer(f"The arguments of {asked.id} cannot be edited.", hint="Approve them as they are, or deny them with a reason.")
    decided = {"approved": said.approved, "reason": said.reason, "edits": said.edited_args}
    return {name: value for name, value in decided.items() if value is not None}


def _ended(one: _Answer) -> bool:
    """Whether the question was answered before, and so. Raises when it has ended otherwise."""
    asked = one.asked
    if asked.state is WaitState.PENDING:
        return False
    if one.value.get("reason") == _DISMISSED:
        return True
    if asked.state is not WaitState.ANSWERED:
        late = f"{asked.id} ended as {asked.state.value} before this answer came."
        raise WaitpointTimedOut(late, hint="Cancel the interrupt to go on.", waitpoint_id=asked.id)
    known = loads(asked.answer or "{}")
    if known != one.value:
        raise WaitpointAlreadyAnswered(
            f"{asked.id} was answered by {asked.answered_by or 'somebody'} before, and otherwise.",
            hint="The first answer counts.",
            waitpoint_id=asked.id,
            answer=known,
            by=asked.answered_by,
        )
    return True
