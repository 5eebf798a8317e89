"""Whether what readers were told is what is true."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from agentflow.engine.telling import decided
from agentflow.records import RunRecord, RunState
from agentflow.serde import loads
from tests.faults.soak.invariants import told
from tests.faults.soak.readers import Reader
from tests.faults.soak.truth import Truth
from tests.faults.soak.workload import SAID

AFTERWARDS = "afterwards"
"""Of a reader who comes when the run has ended."""


def every_stream_is_whole(truth: Truth, readers: Mapping[str, Reader], when: str) -> Iterator[str]:
    """No gap, one end, and the run as it was told is the run as it is."""
    for run_id, reader in readers.items():
        run = truth.runs[run_id]
        wrong = [*reader.wrong, *_untrue(truth, run, reader, when)]
        if wrong:
            yield f"{told(run)}, read {when} with {reader.resets} resets and {reader.cuts} cuts: {'; '.join(wrong)}"


def _untrue(truth: Truth, run: RunRecord, reader: Reader, when: str) -> Iterator[str]:
    fold = reader.fold
    if reader.ends != 1:
        yield f"{reader.ends} ends"
    if fold.state != run.state.value:
        yield f"it was told to be {fold.state}"
    if run.state is not RunState.COMPLETED:
        return
    if fold.output != loads(run.output or "null"):
        yield f"its output was told to be {fold.output}"
    yield from _steps(truth, run, reader)
    decisions = {one.id: decided(one) for one in truth.approvals(run.id)}
    if {id: one.decision for id, one in fold.approvals.items()} != decisions:
        yield f"its approvals were told to be {fold.approvals}, not {decisions}"
    # Who listens while Redis loses words hears no more of them than their end; they are recorded for whoever comes later.
    if run.task == "clerk" and (when == AFTERWARDS or not reader.resets) and fold.text != SAID:
        yield f"it was told to have said {fold.text!r}"


def _steps(truth: Truth, run: RunRecord, reader: Reader) -> Iterator[str]:
    recorded = {entry.key for entry in truth.results(run.id)}
    completed = {step.id for step in reader.fold.steps.values() if step.state == "completed"}
    if completed - recorded:
        yield f"told but not recorded: {sorted(completed - recorded)}"
    if recorded - completed:
        yield f"recorded but not told: {sorted(recorded - completed)}"
    open = [step.id for step in reader.fold.steps.values() if step.state in ("running", "retrying")]
    if open:
        yield f"told to be under way still: {open}"
