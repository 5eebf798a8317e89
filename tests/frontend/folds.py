"""Logs with what they come to, which the TypeScript reader must say, too. `python -m tests.frontend.folds` writes them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agentflow.streams import Cursor, Fold, StoredEvent
from agentflow.streams import events as e

PATH = Path(__file__).resolve().parents[2] / "frontend-hooks/client/tests/fixtures/folds.jsonl"
STEPS, PARTS, CALLS, APPROVALS = ("s1", "s2", "s3"), ("p1", "p2", "p3"), ("c1", "c2"), ("a1", "a2")
RANDOM_LOGS, LENGTH = 30, 30


def fixture() -> str:
    """A log per line, with its name and its fold."""
    cases = [
        ("a whole agent", _agent()),
        ("a lost worker", _lost_worker()),
        *((f"random {seed}", _random(seed)) for seed in range(RANDOM_LOGS)),
    ]
    return "".join(json.dumps(_case(name, log), separators=(",", ":"), ensure_ascii=False) + "\n" for name, log in cases)


def _case(name: str, log: list[StoredEvent]) -> dict[str, Any]:
    told = [{"id": str(entry.id), "event": json.loads(entry.json())} for entry in log]
    return {"name": name, "log": told, "fold": _plain(Fold().apply_all(log))}


def _plain(fold: Fold) -> dict[str, Any]:
    return {
        "status": fold.state,
        "attempt": fold.attempt,
        "ended": fold.ended,
        "cursor": None if fold.cursor is None else str(fold.cursor),
        "steps": [asdict(step) for step in fold.steps.values()],
        "parts": [asdict(part) for part in fold.parts.values()],
        "calls": [asdict(call) for call in fold.calls.values()],
        "approvals": [asdict(approval) for approval in fold.approvals.values()],
        "data": [{"name": name, "id": id, "data": data} for (name, id), data in fold.data.items()],
        "metadata": fold.metadata,
        "waiting": None if fold.waiting is None else asdict(fold.waiting),
        "output": fold.output,
        "error": fold.error,
    }


def _stored(events: Iterable[e.Event], epoch: int = 1) -> list[StoredEvent]:
    return [StoredEvent(Cursor(epoch, seq), 1_000 * seq, event) for seq, event in enumerate(events)]


def _agent() -> list[StoredEvent]:
    return _stored(
        [
            e.RunQueued("support", agent="support"),
            e.RunStarted("support", agent="support"),
            e.StepStarted("s1", "model", "llm"),
            e.MessageStarted("m1", step="s1"),
            e.ReasoningStart("r1", "m1", "s1"),
            e.ReasoningDelta("r1", "I look 🔎 it up."),
            e.ReasoningEnd("r1", "signed"),
            e.TextStart("p1", "m1", "s1"),
            e.TextDelta("p1", "One "),
            e.StepRetrying("s1", 2, {"code": "error"}, 10, ("r1", "p1")),
            e.TextDelta("p1", "too late"),
            e.TextStart("p2", "m1", "s1"),
            e.TextDelta("p2", "moment"),
            e.TextDelta("p2", "."),
            e.TextEnd("p2"),
            e.ToolInputStart("c1", "refund", "m1", "s1"),
            e.ToolInputDelta("c1", '{"cents":'),
            e.ToolInputDelta("c1", "5}"),
            e.ToolInput("c1", "refund", {"cents": 5}, message="m1", step="s1"),
            e.Usage("s1", "scripted", "one", 3, 4),
            e.StepCompleted("s1", "model", "llm", 2, output={"parts": 1}, usage={"input": 3}, duration_ms=400),
            e.ApprovalRequested("a1", "Refund?", call="c1", input={"cents": 5}, expires_at=9_000, can_edit=True),
            e.RunWaiting("approval", ("a1",), 9_000),
            e.ApprovalResolved("a1", "approved", "maria", "fine"),
            e.RunAttempt(2, "resume"),
            e.ChildStarted("run_2", "refund", "c1"),
            e.ApprovalRequested("a2", "Sure?", "confirm", "c1", run="run_2"),
            e.ApprovalResolved("a2", "denied", "tom", run="run_2"),
            e.ChildFinished("run_2", "completed", "c1"),
            e.ToolOutput("c1", "half", True),
            e.ToolOutput("c1", {"state": "paid"}),
            e.TextStart("p2", "m1", "s1"),
            e.TextDelta("p2", "told again"),
            e.RunProgress({"stage": "paid"}),
            e.Data("chart", {"x": 1}, "one"),
            e.Data("chart", {"x": 2}, "one"),
            e.Source("https://example.com", "Policy"),
            e.File("https://example.com/a.png", "image/png"),
            e.RunCompleted({"answer": "paid"}, {"cost": 0.1}),
            e.End("completed"),
        ]
    )


def _lost_worker() -> list[StoredEvent]:
    before = [
        e.RunStarted("tell"),
        e.StepStarted("s1", "one"),
        e.TextStart("p1", step="s1"),
        e.TextDelta("p1", "kept"),
        e.StepCompleted("s1", "one"),
        e.StepStarted("s2", "two"),
        e.TextStart("p2", step="s2"),
        e.TextDelta("p2", "lost"),
        e.StepStarted("s3", "three"),
        e.ToolInput("c1", "search", {}, step="s3"),
        e.ApprovalRequested("a1", "Search?", call="c1"),
    ]
    after = [
        e.RunAttempt(10, "worker_lost", 2, ("s2",)),
        e.TextDelta("p2", "of the dead"),
        e.StepFailed("s2", {"code": "error"}, "two"),
        e.RunFailed({"code": "error", "message": "no"}),
        e.End("failed"),
    ]
    # As text, 10-0 comes before 9-0.
    return [*_stored(before, 9), *_stored(after, 10), *_stored(before[:4], 9)]


def _random(seed: int) -> list[StoredEvent]:
    """Any events in any order, some of them twice: what a reader must survive, and fold alike."""
    dice = random.Random(seed)
    log: list[StoredEvent] = []
    cursor = Cursor(1, 0)
    while len(log) < LENGTH:
        if log and dice.random() < 0.1:
            log.append(dice.choice(log))
            continue
        cursor = Cursor(cursor.epoch + 1, 0) if dice.random() < 0.05 else Cursor(cursor.epoch, cursor.seq + 1)
        log.append(StoredEvent(cursor, len(log), dice.choice(_MAKERS)(dice)))
    return log


def _some(dice: random.Random, ids: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dice.sample(ids, dice.randint(0, len(ids))))


_MAKERS: list[Callable[[random.Random], e.Event]] = [
    lambda dice: e.RunStarted("t", dice.randint(1, 3)),
    lambda dice: e.RunAttempt(2, "worker_lost", dice.choice([None, 2]), _some(dice, STEPS)),
    lambda dice: e.RunWaiting("timer", _some(dice, ("w1",)), dice.choice([None, 7])),
    lambda dice: e.RunProgress({"done": dice.randint(0, 9)}),
    lambda dice: e.StepStarted(dice.choice(STEPS), "step", "llm", dice.randint(1, 3)),
    lambda dice: e.StepRetrying(dice.choice(STEPS), 2, {"code": "error"}, None, _some(dice, (*PARTS, *CALLS))),
    lambda dice: e.StepCompleted(dice.choice(STEPS), "step", output=dice.choice([None, [1], "x"])),
    lambda dice: e.StepFailed(dice.choice(STEPS), {"code": "error"}, dice.choice([None, "named"])),
    lambda dice: e.TextStart(dice.choice(PARTS), step=dice.choice([None, *STEPS])),
    lambda dice: e.TextDelta(dice.choice(PARTS), dice.choice(["a", "é", "🔎", "\n"])),
    lambda dice: e.TextDelta(dice.choice(PARTS), "b"),
    lambda dice: e.TextEnd(dice.choice(PARTS)),
    lambda dice: e.ReasoningStart(dice.choice(PARTS), step=dice.choice(STEPS)),
    lambda dice: e.ReasoningDelta(dice.choice(PARTS), "c"),
    lambda dice: e.ReasoningEnd(dice.choice(PARTS)),
    lambda dice: e.ToolInputStart(dice.choice(CALLS), "tool", step=dice.choice([None, *STEPS])),
    lambda dice: e.ToolInputDelta(dice.choice(CALLS), "{"),
    lambda dice: e.ToolInput(dice.choice(CALLS), "tool", dice.choice([None, {"q": 1}]), step=dice.choice([None, *STEPS])),
    lambda dice: e.ToolOutput(dice.choice(CALLS), "out", dice.choice([None, True])),
    lambda dice: e.ToolError(dice.choice(CALLS), {"code": "error"}),
    lambda dice: e.ToolDenied(dice.choice(CALLS), "no"),
    lambda dice: e.ApprovalRequested(dice.choice(APPROVALS), "Sure?", call=dice.choice([None, *CALLS]), run=dice.choice([None, "run_2"])),
    lambda dice: e.ApprovalResolved(dice.choice(APPROVALS), dice.choice(["approved", "denied"]), run=dice.choice([None, "run_2"])),
    lambda dice: e.Data(dice.choice(["a", "b"]), dice.choice([None, 1, {"x": 1}]), dice.choice([None, "i"])),
    lambda dice: e.UnknownEvent("brand.new", "x", {"y": 1}),
    lambda dice: e.RunFailed({"code": "timeout"}),
    lambda dice: e.RunCancelled("maria"),
]


if __name__ == "__main__":
    PATH.parent.mkdir(parents=True, exist_ok=True)
    PATH.write_text(fixture(), encoding="utf-8")
