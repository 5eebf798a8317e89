"""What must hold when the dust has settled. Each check returns what does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from agentflow.records import RunRecord, RunState, WaitKind, WaitState
from agentflow.serde import loads
from tests.faults.soak.customers import Memory
from tests.faults.soak.truth import Truth, approved
from tests.faults.soak.workload import expected


def every_run_ended_once(truth: Truth) -> Iterator[str]:
    """Terminal, with a time, held by nobody."""
    for run in truth.runs.values():
        if not run.state.terminal or run.finished_at is None or run.worker is not None:
            yield f"{told(run)} did not end: finished at {run.finished_at}, held by {run.worker}; {_why(truth, run)}"


def every_order_is_one_run(truth: Truth, memory: Memory) -> Iterator[str]:
    """An idempotency key starts one run, whoever sends it and however often; none is lost."""
    for key in memory.orders:
        found = [run for run in truth.roots if run.idempotency_key == key]
        if len(found) != 1 or memory.placed.get(key, set()) != {found[0].id}:
            yield f"{key} is {[run.id for run in found]}, clients were told {memory.placed.get(key)}"
    if len(truth.roots) != len(memory.orders):
        yield f"{len(memory.orders)} runs were ordered, there are {len(truth.roots)}"


def every_result_is_right(truth: Truth, memory: Memory) -> Iterator[str]:
    """What each run returned is what its code computes; nothing else ended otherwise than by being cancelled."""
    for run in truth.runs.values():
        if run.state is RunState.COMPLETED:
            right = expected(run.task, _number(run), approved=any(approved(one) for one in truth.approvals(run.id)))
            if loads(run.output or "null") != right:
                yield f"{told(run)} returned {run.output}, not {right}"
        elif not (run.state is RunState.CANCELLED and truth.root_of(run).id in memory.cancelled):
            yield f"{told(run)} ended as {run.state}: {run.error}"


def nothing_recorded_was_done_again(truth: Truth) -> Iterator[str]:
    """No body began in a later epoch than the one that recorded its step, and none twice in one epoch."""
    recorded: dict[tuple[str, str], int] = {}
    for run_id in truth.runs:
        entries = truth.journals[run_id]
        if [entry.seq for entry in entries] != list(range(1, len(entries) + 1)):
            yield f"the journal of {run_id} has holes: {[entry.seq for entry in entries]}"
        for entry in truth.results(run_id):
            if (run_id, entry.key) in recorded:
                yield f"{run_id} recorded {entry.key} twice"
            recorded[run_id, entry.key] = entry.epoch
    for body in truth.bodies:
        if body.epoch > recorded.get((body.run, body.step), body.epoch):
            yield f"{body.run} did {body.step} again in epoch {body.epoch}, after it was recorded in {recorded[body.run, body.step]}"
    again = Counter((body.run, body.step, body.epoch, body.attempt, body.tries) for body in truth.bodies)
    yield from (f"this body began {times} times: {body}" for body, times in again.items() if times > 1)


def every_record_has_a_body(truth: Truth) -> Iterator[str]:
    """What is recorded was done, in the epoch that recorded it."""
    done = {(body.run, body.step, body.epoch) for body in truth.bodies}
    steps = {body.step for body in truth.bodies}
    for run_id in truth.runs:
        for entry in truth.results(run_id):
            if entry.key in steps and (run_id, entry.key, entry.epoch) not in done:
                yield f"{run_id} recorded {entry.key} in epoch {entry.epoch}, in which nobody did it"


def every_child_was_started_once(truth: Truth) -> Iterator[str]:
    """Each child run is what exactly one wait of its parent waits for."""
    targets = Counter(one.target for waits in truth.waits.values() for one in waits if one.kind is WaitKind.CHILD)
    children = {run.id for run in truth.runs.values() if run.parent_id is not None}
    yield from (f"the child {run_id} is waited for {targets[run_id]} times" for run_id in children if targets[run_id] != 1)
    yield from (f"the child {run_id} does not exist" for run_id in targets if run_id not in truth.runs)


def no_wait_is_left_open(truth: Truth) -> Iterator[str]:
    """A run that has ended waits for nothing."""
    for run_id, waits in truth.waits.items():
        for one in waits:
            if one.state is WaitState.PENDING and truth.runs[run_id].state.terminal:
                yield f"{one.id} ({one.kind}) of {told(truth.runs[run_id])} is open still"


def every_answer_counts_once(truth: Truth, memory: Memory) -> Iterator[str]:
    """Of several people one decides, and the others are told so."""
    known = {one.id: one for waits in truth.waits.values() for one in waits}
    for id, answers in memory.answers.items():
        one = known[id]
        if len(answers) != 1 or (one.answered_by, approved(one)) != answers[0]:
            yield f"{id} is {one.state} by {one.answered_by} ({one.answer}), told were {answers}"


def told(run: RunRecord) -> str:
    """A run, for a person."""
    return f"{run.task} {run.id} ({run.state}, epoch {run.epoch}, recoveries {run.recoveries})"


def _number(run: RunRecord) -> int:
    return int(loads(run.input).get("number", 0))


def _why(truth: Truth, run: RunRecord) -> str:
    waits = [f"{one.kind} {one.key} {one.state} (wake {one.wake}, due {one.due_at}, for {one.target})" for one in truth.waits[run.id]]
    return f"wakes {run.wakes}, ready at {run.ready_at}, {run.note or 'no note'}; waits: {waits}"
