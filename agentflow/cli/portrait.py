"""One run, drawn whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentflow.app import Agentflow
from agentflow.app.doctor import Finding, cut_off, stuck
from agentflow.cli.screen import ago, colour, say, short, span, table, text
from agentflow.records import EntryKind, JournalEntry, RunRecord, RunState, RunUsage, UsageRecord, WaitKind, WaitpointRecord
from agentflow.serde import decode_failure, loads
from agentflow.server.views import entry_view, run_detail, run_view

_MARKS = {EntryKind.RESULT: ("✓", "green"), EntryKind.ERROR: ("✗", "red"), EntryKind.TRY: ("↻", "yellow"), EntryKind.VALUE: ("•", "dim")}


@dataclass(frozen=True, slots=True)
class Portrait:
    """What is known of a run at one moment."""

    run: RunRecord
    journal: list[JournalEntry]
    waiting: list[WaitpointRecord]
    children: list[RunRecord]
    stuck: list[Finding]
    usage: RunUsage
    steps: Mapping[int, UsageRecord]
    now: int


async def look(app: Agentflow, run_id: str) -> Portrait:
    """Read all that there is of a run. Raises `RunNotFound`."""
    run = await app.runs.get(run_id)
    journal = await app.runs.journal(run_id)
    waiting = await app.runs.waiting_for(run_id)
    children = await app.runs.list(parent=run_id, limit=100)
    why = await stuck(app, run_id) if run.state in (RunState.QUEUED, RunState.SCHEDULED) else await cut_off(app, run)
    used, steps = await app.runs.usage(run_id), await app.runs.usage_of_steps(run_id)
    return Portrait(run, journal, waiting, children, why, used, steps, app.clock.now())


def view(seen: Portrait) -> dict[str, Any]:
    """A run as JSON, as HTTP shows it, with its journal and children."""
    detail = run_detail(seen.run, seen.waiting, None, seen.usage).model_dump(mode="json", by_alias=True, exclude={"cursor"})
    journal = [entry_view(one, seen.steps.get(one.seq)) for one in seen.journal]
    return {**detail, "journal": journal, "children": [run_view(one) for one in seen.children]}


def draw(seen: Portrait) -> None:
    """Print a run."""
    run = seen.run
    say(text(run.task, "bold") + text("  ") + colour(run.state.value) + text(f"  {run.id}", "dim"))
    for name, fact in [*_facts(run, seen.now), *_used(seen.usage)]:
        say(text(f"  {name:<9} ", "dim") + text(fact))
    for finding in seen.stuck:
        say("", text(f"! {finding.message}", "yellow"), text(f"  {finding.hint}"))
    _draw_end(run)
    _draw_journal(seen)
    _draw_waits(seen)
    if seen.children:
        say(
            "",
            table(("run", "child", "state", ""), [(one.id, one.task, colour(one.state.value), span(one.active)) for one in seen.children]),
        )


def _facts(run: RunRecord, now: int) -> list[tuple[str, str]]:
    facts = [
        ("queue", run.queue if run.queue != "default" else ""),
        ("version", run.version or ""),
        ("started by", run.started_by or ""),
        ("parent", run.parent_id or ""),
        ("tags", ", ".join(run.tags)),
        ("attempt", str(run.attempt) if run.attempt > 1 else ""),
        ("worker", run.worker or ""),
        ("created", ago(run.created_at, now)),
        ("starts", ago(run.ready_at, now) if run.state is RunState.SCHEDULED else ""),
        ("ended", ago(run.finished_at, now)),
        ("worked", span(run.active)),
        ("note", run.note or ""),
        ("cancel", run.cancel_reason or ""),
        ("metadata", short(run.metadata, 400) if run.metadata != "{}" else ""),
        ("input", short(run.input, 400)),
    ]
    return [(name, fact) for name, fact in facts if fact]


def _used(used: RunUsage) -> list[tuple[str, str]]:
    """What models cost, of a run that asked one: itself, and with the runs below it where that is more."""
    own, total = used.own, used.total
    facts = [("used", _spent(own))] if own.calls or own.tokens else []
    return facts if total == own else [*facts, ("in all", _spent(total))]


def _spent(used: UsageRecord) -> str:
    cost = "at an unknown price" if used.usd is None else f"for {used.usd} USD"
    unpriced = f" and {used.unpriced} calls of unknown price" if used.unpriced and used.usd is not None else ""
    return f"{used.input:,} + {used.output:,} tokens in {used.calls} model calls {cost}{unpriced}"


def _draw_end(run: RunRecord) -> None:
    if run.output is not None:
        say("", text("  result", "dim"), text(json.dumps(loads(run.output), indent=2, ensure_ascii=False)))
    if run.error is None or run.state is RunState.COMPLETED:
        return
    failed = decode_failure(run.error)
    say("", text(f"✗ {failed.type}: {failed.message}", "red"))
    if failed.hint:
        say(text(f"  {failed.hint}"))
    if run.state is RunState.PAUSED:
        _draw_difference(run, failed.details or {})
    elif failed.traceback:
        say(text(failed.traceback.rstrip(), "dim"))


def _draw_difference(run: RunRecord, difference: dict[str, Any]) -> None:
    for name in ("recorded", "asked"):
        say(text(f"  {name:<9} ", "dim") + text(f"{difference.get('step', '')}  {json.dumps(difference.get(name))}"))
    choices = {
        "keep the record": f"resume {run.id} --continue",
        "run again from there": f"resume {run.id} --rerun",
        "end it": f"cancel {run.id}",
    }
    for what, words in choices.items():
        say(text(f"  {what:<20} ", "dim") + text(f"agentflow runs {words}", "cyan"))


def _draw_journal(seen: Portrait) -> None:
    drawn = [_recorded(one) for one in seen.journal if one.kind in _MARKS]
    if drawn:
        say("", table(("  step", ">took", ""), drawn))


def _recorded(one: JournalEntry) -> tuple[Any, ...]:
    mark, style = _MARKS[one.kind]
    return text(f"{mark} ", style) + text(one.key), span(one.ended_at - one.started_at), text(_value(one), "dim")


def _value(one: JournalEntry) -> str:
    if one.value is None or one.value == "null":
        return ""
    if one.begins:
        return f"began, agreed to at {loads(one.value)['consent']}"
    if one.kind is EntryKind.TRY:
        return short(loads(one.value).get("error", {}).get("message", ""), 80)
    return short(decode_failure(one.value).message if one.kind is EntryKind.ERROR else one.value, 80)


def _draw_waits(seen: Portrait) -> None:
    for one in seen.waiting:
        subject = loads(one.subject)
        until = "" if one.due_at is None else f"  ends {ago(one.due_at, seen.now)}"
        if one.kind is WaitKind.APPROVAL:
            say(
                "", text(f"? {subject.get('title', '')}", "bold yellow") + text(until, "dim"), text(f"  agentflow approve {one.id}", "cyan")
            )
        else:
            about = subject.get("task") or one.target or ""
            say("", text(f"… waits for {one.kind.value} {about}".rstrip(), "yellow") + text(until, "dim"))
