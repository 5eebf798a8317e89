"""What a server answers, as records and errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol, cast

from agentflow.errors import AgentflowError
from agentflow.handle import RunVerbs
from agentflow.records import DeliveryRecord, DeliveryState, Failure, GrantRecord, RunRecord, RunState, WaitKind, WaitpointRecord, WaitState
from agentflow.serde import dumps, encode_failure
from agentflow.storage.bindings import BindingRecord
from agentflow.storage.policy import NotEligible, SubjectChanged
from agentflow.storage.prompts import VersionRecord
from agentflow.storage.rollouts import Guard, Plan, Rollout

_MILLI = 1_000


class Asking(Protocol):
    """What the verbs need of a client."""

    async def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, **query: Any) -> Any:
        """What the server answers to a request, as JSON."""
        ...


class Handling(Asking, Protocol):
    """What verbs need that answer with a handle of a run."""

    @property
    def runs(self) -> RunVerbs:
        """What the handle uses."""
        ...


KNOWN = (NotEligible, SubjectChanged)
"""Errors that are found by their code only where they are loaded."""


def _kinds(kind: type[AgentflowError]) -> dict[str, type[AgentflowError]]:
    found = {kind.code: kind}
    for one in kind.__subclasses__():
        # Of several classes with one code the widest: the code says no more.
        found = {**_kinds(one), **found}
    return found


def error_of(status: int, answer: Any) -> AgentflowError:
    """The error that an answer tells of: of the class that the server raised, where this process knows it."""
    told: Mapping[str, Any] = cast("Mapping[str, Any]", answer) if isinstance(answer, Mapping) else {}
    code = str(told.get("code", "error"))
    message = str(told.get("message") or f"The server answered with status {status}.")
    kind = _kinds(AgentflowError).get(code, AgentflowError)
    error = kind(message, hint=str(told.get("hint", "")))
    error.code, error.http_status, error.details = code, status, dict(told.get("details") or {})
    return error


def run_record(answer: Mapping[str, Any]) -> RunRecord:
    """A run from its JSON. What only the database knows is 0 or None: its key, its epoch, its wakes."""
    state = RunState(answer["status"])
    return RunRecord(
        key=0,
        id=answer["id"],
        task=answer["task"],
        queue=answer["queue"],
        state=state,
        epoch=0,
        attempt=answer["attempt"],
        recoveries=answer["recoveries"],
        worker=answer["worker"],
        ready_at=_micros(answer["ready_at"]),
        expires_at=_micros(answer["expires_at"]),
        input=dumps(answer.get("input")),
        output=dumps(answer.get("output")) if state is RunState.COMPLETED else None,
        error=_failure(answer["error"]),
        parent_id=answer["parent"],
        tags=tuple(answer["tags"]),
        metadata=dumps(answer["metadata"]),
        idempotency_key=answer["idempotency_key"],
        concurrency_key=answer["concurrency_key"],
        priority=answer["priority"],
        version=answer["version"],
        started_by=answer.get("started_by"),
        code=None,
        cancel_reason=answer["cancel_reason"],
        wakes=0,
        active=answer["active_ms"] * _MILLI,
        created_at=answer["created_at"] * _MILLI,
        started_at=_micros(answer["started_at"]),
        finished_at=_micros(answer["finished_at"]),
        note=answer["note"],
    )


def waitpoint_record(answer: Mapping[str, Any]) -> WaitpointRecord:
    """A waitpoint from its JSON."""
    return WaitpointRecord(
        id=answer["id"],
        kind=WaitKind(answer["kind"]),
        state=WaitState(answer["state"]),
        run_id=answer["run"],
        key=answer["step"],
        target=answer["target"],
        subject=dumps(answer["subject"]),
        schema=None if answer["schema"] is None else dumps(answer["schema"]),
        answer=None if answer["answer"] is None else dumps(answer["answer"]),
        answered_by=answer["answered_by"],
        due_at=_micros(answer["due_at"]),
        attempt=1,
        created_at=answer["created_at"] * _MILLI,
        ended_at=_micros(answer["ended_at"]),
        wake=0,
        times=answer.get("times", 1),
        held=answer.get("held"),
    )


def delivery_record(waitpoint_id: str, answer: Mapping[str, Any]) -> DeliveryRecord:
    """A message about a waitpoint from its JSON. When it is tried next only the database knows."""
    return DeliveryRecord(
        waitpoint=waitpoint_id,
        seq=int(answer["id"].rpartition(".")[2]),
        channel=answer["channel"],
        address=answer["address"],
        person=answer["person"],
        event=answer["event"],
        state=DeliveryState(answer["state"]),
        attempts=answer["attempts"],
        due_at=0,
        reference=answer["reference"],
        error=answer["error"],
        created_at=answer["created_at"] * _MILLI,
        ended_at=_micros(answer["ended_at"]),
    )


def grant_record(answer: Mapping[str, Any]) -> GrantRecord:
    """A grant from its JSON."""
    times = {name: _micros(answer[name]) for name in ("created_at", "expires_at", "revoked_at")}
    same = ("id", "scope", "scope_id", "tool", "granted_by", "waitpoint", "reason", "max_uses", "uses", "revoked_by")
    told: dict[str, Any] = {name: answer[name] for name in same} | times
    return GrantRecord(fits=dumps(answer["match"]), **told)


def _micros(millis: int | None) -> int | None:
    return None if millis is None else millis * _MILLI


def _failure(told: Mapping[str, Any] | None) -> str | None:
    if told is None:
        return None
    failure = Failure(code=told["code"], type=told["type"], message=told["message"], hint=told["hint"], details=told["details"])
    return encode_failure(failure)


def version_of(told: Mapping[str, Any]) -> VersionRecord:
    """A version from its JSON."""
    # As it was hashed: sorted keys and no spaces.
    body = json.dumps(told["body"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    plain = {name: told[name] for name in ("prompt", "number", "hash", "source", "note", "actor", "revoke_policy")}
    return VersionRecord(**plain, body=body, created_at=told["created_at"] * _MILLI, revoked_at=_micros(told["revoked_at"]))


def binding_of(name: str, told: Mapping[str, Any]) -> BindingRecord:
    """A binding from its JSON."""
    plain = {one: told[one] for one in ("env", "label", "mode", "code", "protected", "rev")}
    weights = {int(number): weight for number, weight in told["weights"].items()}
    times = {"expires_at": _micros(told["expires_at"]), "updated_at": told["updated_at"] * _MILLI}
    rolled = told["rollout"]
    more: dict[str, Any] = {} if rolled is None else {"rollout": rolled["id"], "rolled": _rollout(rolled, told.get("salt") or "")}
    return BindingRecord(prompt=name, number=told["version"], weights=weights, **times, **plain, **more)


def _rollout(told: Mapping[str, Any], salt: str) -> Rollout:
    """A rollout from its JSON. Its salt is told in snapshots; else which key gets which version is chosen where that is known."""
    plan = Plan(
        weights={int(number): weight for number, weight in told["weights"].items()},
        sticky=told["sticky"],
        baseline=told["baseline"],
        conditions={name: value for name, value in told["conditions"].items() if value is not None},
        ramp=tuple((one["after_ms"] * _MILLI, one["share"]) for one in told["ramp"]),
        guards=tuple(Guard(**one) for one in told["guards"]),
    )
    return Rollout(plan=plan, salt=salt, begun_at=told["begun_at"] * _MILLI)
