"""Everything at once for some seconds, by a seed; `make soak` does it for hours. And whether the soak would see what it looks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from agentflow.records import EntryKind, JournalEntry, RunRecord, RunState, WaitKind, WaitpointRecord, WaitState
from agentflow.testing.clock import START
from tests.faults.soak import invariants
from tests.faults.soak.customers import Memory
from tests.faults.soak.driver import Plan, soak
from tests.faults.soak.schedule import DECK, faults
from tests.faults.soak.truth import Body, Truth
from tests.faults.soak.workload import Order, orders

SEED = 7
SECONDS = 25.0


async def test_what_runs_under_every_fault_at_once_ends_once_and_right() -> None:
    plan = Plan(seed=SEED, seconds=SECONDS)
    print("\n".join(str(fault) for fault in plan.schedule))
    report = await soak(plan)
    print(report)
    assert not report.failed, str(report)


def test_a_seed_says_what_goes_wrong_and_what_is_started() -> None:
    assert faults(SEED, 60, 4, server=True) == faults(SEED, 60, 4, server=True) != faults(SEED + 1, 60, 4, server=True)
    assert orders(SEED, 60, 6) == orders(SEED, 60, 6) != orders(SEED + 1, 60, 6)


@pytest.mark.parametrize("seed", range(1, 21))
def test_every_fault_comes_in_a_minute_and_none_outlasts_it(seed: int) -> None:
    schedule = faults(seed, 60, 4, server=True)
    assert len({fault.kind for fault in schedule}) >= len(DECK) - 1
    assert all(fault.at + fault.lasts < 60 for fault in schedule)


RUN = replace(
    RunRecord.ended("run_1", "narrow", RunState.COMPLETED, output="7", error=None),
    input='{"number": 1}',
    idempotency_key="narrow-1",
    epoch=2,
    finished_at=START,
)
ENTRY = JournalEntry(1, EntryKind.RESULT, "long#0", "4", None, None, 1, 1, START, START, 1)
BODY = Body("run_1", "long#0", 1, 1, 1, 10, START)
CHILD = replace(RUN, id="run_2", parent_id="run_1", idempotency_key=None)
ASKED = WaitpointRecord(
    id="wp_1",
    kind=WaitKind.APPROVAL,
    state=WaitState.ANSWERED,
    run_id="run_1",
    key="approve#0",
    target=None,
    subject="{}",
    schema=None,
    answer='{"approved": true}',
    answered_by="client 0",
    due_at=None,
    attempt=1,
    created_at=START,
    ended_at=START,
    wake=1,
)


def truth(**changed: Any) -> Truth:
    """One run, as it should be, but for what is changed."""
    found: dict[str, Any] = {
        "runs": {"run_1": RUN},
        "journals": {"run_1": [ENTRY]},
        "waits": {"run_1": [ASKED]},
        "bodies": [BODY],
        **changed,
    }
    for run_id in found["runs"]:
        found["journals"].setdefault(run_id, [])
        found["waits"].setdefault(run_id, [])
    return Truth(**found)


def memory() -> Memory:
    return Memory(placed={"narrow-1": {"run_1"}}, orders={"narrow-1": Order(0, "narrow", 1, None)}, answers={"wp_1": [("client 0", True)]})


CHECKS: dict[str, Callable[[Truth], Iterator[str]]] = {
    "ended": invariants.every_run_ended_once,
    "ordered": lambda found: invariants.every_order_is_one_run(found, memory()),
    "right": lambda found: invariants.every_result_is_right(found, memory()),
    "again": invariants.nothing_recorded_was_done_again,
    "body": invariants.every_record_has_a_body,
    "child": invariants.every_child_was_started_once,
    "open": invariants.no_wait_is_left_open,
    "answer": lambda found: invariants.every_answer_counts_once(found, memory()),
}

WRONG: dict[str, tuple[str, dict[str, Any]]] = {
    "a run that still waits": ("ended", {"runs": {"run_1": replace(RUN, state=RunState.WAITING, finished_at=None)}}),
    "a run that somebody still holds": ("ended", {"runs": {"run_1": replace(RUN, worker="worker_1")}}),
    "a run that was lost": ("ordered", {"runs": {}}),
    "a run that was started twice": ("ordered", {"runs": {"run_1": RUN, "run_2": replace(RUN, id="run_2")}}),
    "a wrong result": ("right", {"runs": {"run_1": replace(RUN, output="8")}}),
    "a failure": ("right", {"runs": {"run_1": replace(RUN, state=RunState.FAILED)}}),
    "a cancellation that nobody asked for": ("right", {"runs": {"run_1": replace(RUN, state=RunState.CANCELLED)}}),
    "a body after its record": ("again", {"bodies": [BODY, replace(BODY, epoch=2)]}),
    "a body twice in an epoch": ("again", {"bodies": [BODY, replace(BODY, pid=11)]}),
    "a step recorded twice": ("again", {"journals": {"run_1": [ENTRY, replace(ENTRY, seq=2, epoch=2)]}}),
    "a journal with a hole": ("again", {"journals": {"run_1": [replace(ENTRY, seq=2)]}}),
    "a record of what nobody did": ("body", {"bodies": [replace(BODY, epoch=2)]}),
    "a child that nobody waits for": ("child", {"runs": {"run_1": RUN, "run_2": CHILD}}),
    "a wait that is left open": ("open", {"waits": {"run_1": [replace(ASKED, state=WaitState.PENDING)]}}),
    "an answer that was told to count and does not": ("answer", {"waits": {"run_1": [replace(ASKED, answered_by="client 1")]}}),
}


@pytest.mark.parametrize("check", CHECKS)
def test_no_invariant_complains_of_what_is_right(check: str) -> None:
    assert list(CHECKS[check](truth())) == []


@pytest.mark.parametrize("wrong", WRONG)
def test_the_invariants_see(wrong: str) -> None:
    check, changed = WRONG[wrong]
    assert list(CHECKS[check](truth(**changed))) != []
