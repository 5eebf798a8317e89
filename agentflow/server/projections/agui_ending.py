"""How an AG-UI run ends: with a result, an error, a cancellation, or questions that people must answer first."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from agentflow.server.projections.agui_brackets import Said, said
from agentflow.streams import events as e

_REASONS = {"tool": "tool_call", "input": "input_required"}
_Outcome = e.RunCompleted | e.RunFailed | e.RunCancelled | e.RunExpired


class Ending:
    """Remembers what the end will say. Tokens count for the run of the client in which they were used, each once."""

    def __init__(self, thread: str, run: str) -> None:
        self._named = {"threadId": thread, "runId": run}
        self._outcome: _Outcome | None = None
        self._used: dict[str, e.Usage] = {}
        self._told = False

    def begin(self) -> None:
        """The client begins another run of its own: what was used is told already."""
        if self._told:
            self._used.clear()
            self._told = False

    def used(self, event: e.Usage) -> None:
        self.begin()
        # A step that is told of again did not use its tokens again.
        self._used[event.step or str(len(self._used))] = event

    def remember(self, event: _Outcome) -> None:
        self._outcome = event

    def end(self, status: str) -> Said:
        """The last event of a run that has ended as `status`."""
        usage, outcome = self._usage(), self._outcome
        if status == "completed":
            result = outcome.output if isinstance(outcome, e.RunCompleted) else None
            return self._finished({"type": "success"}, result=result)
        if status == "cancelled":
            return self._finished({"type": "cancelled"})
        message, code = f"The run ended as {status}.", status
        if isinstance(outcome, e.RunFailed):
            message, code = str(outcome.error.get("message") or message), str(outcome.error.get("code") or code)
        elif isinstance(outcome, e.RunExpired):
            message = outcome.reason or message
        return said("RUN_ERROR", message=message, code=code, usage=usage)

    def interrupt(self, run_id: str, questions: Iterable[e.ApprovalRequested]) -> Said:
        """The last event before people have answered."""
        self._told = True
        return self._finished({"type": "interrupt", "interrupts": [_interrupt(run_id, one) for one in questions]})

    def _finished(self, outcome: dict[str, Any], result: Any = None) -> Said:
        costs = [one.cost for one in self._used.values() if one.cost is not None]
        metadata = {"agentflow": {"cost": sum(costs)}} if costs else None
        return said("RUN_FINISHED", **self._named, outcome=outcome, result=result, usage=self._usage(), metadata=metadata)

    def _usage(self) -> list[dict[str, Any]] | None:
        together: dict[tuple[str | None, str | None], list[e.Usage]] = {}
        for one in self._used.values():
            together.setdefault((one.provider, one.model), []).append(one)
        return [_tokens(*names, entries) for names, entries in together.items()] or None


def _tokens(provider: str | None, model: str | None, entries: list[e.Usage]) -> dict[str, Any]:
    read, written = sum(one.input or 0 for one in entries), sum(one.output or 0 for one in entries)
    counts = {
        "provider": provider,
        "model": model,
        "inputTokens": read,
        "outputTokens": written,
        "totalTokens": read + written,
        "cachedInputTokens": sum(one.cached or 0 for one in entries) or None,
        "reasoningTokens": sum(one.reasoning or 0 for one in entries) or None,
    }
    return {name: value for name, value in counts.items() if value is not None}


def _interrupt(run_id: str, asked: e.ApprovalRequested) -> dict[str, Any]:
    expires = None if asked.expires_at is None else datetime.fromtimestamp(asked.expires_at / 1_000, UTC)
    fields: dict[str, Any] = {
        "id": asked.approval,
        "reason": _REASONS.get(asked.kind, "confirmation"),
        "message": asked.title or None,
        "toolCallId": None if asked.call is None else f"{run_id}:{asked.call}",
        "responseSchema": _response(asked),
        "expiresAt": None if expires is None else expires.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "metadata": {"agentflow": {"run": asked.run or run_id, "kind": asked.kind, "input": asked.input}},
    }
    return {name: value for name, value in fields.items() if value is not None}


def _response(asked: e.ApprovalRequested) -> dict[str, Any]:
    properties: dict[str, Any] = {"approved": {"type": "boolean"}, "reason": {"type": "string"}}
    if asked.can_edit is not False:
        properties["editedArgs"] = dict(asked.schema) if asked.schema else {"type": "object"}
    return {"type": "object", "properties": properties, "required": ["approved"], "additionalProperties": False}
