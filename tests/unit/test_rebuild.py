"""A log made anew from the database, whatever the clocks of those who wrote it said."""

from __future__ import annotations

from dataclasses import replace

from agentflow.app.rebuild import rebuild
from agentflow.clock import SECOND
from agentflow.records import RunRecord, RunState, WaitKind, WaitpointRecord, WaitState
from agentflow.streams.fold import Fold
from agentflow.testing.clock import START


def test_an_answer_from_a_process_whose_clock_is_behind_is_told_after_its_question() -> None:
    run = replace(RunRecord.ended("run_1", "publish", RunState.COMPLETED, output="1", error=None), created_at=START, finished_at=START)
    asked = WaitpointRecord(
        id="wp_1",
        kind=WaitKind.APPROVAL,
        state=WaitState.ANSWERED,
        run_id="run_1",
        key="approve#0",
        target=None,
        subject='{"title": "Publish?"}',
        schema=None,
        answer='{"approved": true}',
        answered_by="maria",
        due_at=None,
        attempt=1,
        created_at=START,
        ended_at=START - 5 * SECOND,
        wake=1,
    )
    fold = Fold().apply_all(rebuild(run, [], [asked], {}))
    assert fold.approvals["wp_1"].decision == "approved"
