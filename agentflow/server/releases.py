"""What is live of a prompt, moved over HTTP."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from agentflow.app.rolling import MoveOptions, Terms
from agentflow.errors import ReleaseRequested
from agentflow.server.calls import Call, answer
from agentflow.server.errors import RequestError
from agentflow.server.governing import request_view
from agentflow.server.persons import person
from agentflow.server.prompt_models import (
    MoveBinding,
    Moving,
    ProtectBinding,
    RepinRun,
    ReplayRun,
    RevokeVersion,
    UpgradedThread,
    UpgradeThread,
)
from agentflow.server.prompts import binding_view, name_of, version_view, which
from agentflow.server.registry_models import DeleteQuery
from agentflow.server.requests import Nothing
from agentflow.server.runs import seen
from agentflow.server.waitpoints import decider
from agentflow.storage.bindings import BindingRecord
from agentflow.storage.rollouts import Guard


async def move_binding(call: Call[MoveBinding, Nothing]) -> Response:
    """Have a version hold, or several, or the one that the code has. Runs that hold another go on with it.

    With `If-Match: <rev>` only where nobody moved it since: 409 `version_conflict`, with the binding as it is now. Where a policy has
    others agree first, 202 with the request: nothing is moved yet.
    """
    name, move = name_of(call), _move(call)
    policy = await call.app.prompts.policies.of(name, str(move.get("env")))
    if policy is not None and policy.asks and not decider(call, call.body.by, "").name:
        raise RequestError("Nobody is said to ask for it.", hint='Say who does: "by": "maria". It is others who agree.')
    try:
        return _moved(await _put(call, name, move))
    except ReleaseRequested as asked:
        return answer(request_view(await call.app.prompts.requests.get(asked.details["request"])), 202)


async def _put(call: Call[MoveBinding, Nothing], name: str, move: MoveOptions) -> BindingRecord:
    facade, said = call.app.prompts, call.body
    if said.mode == "code":
        return await facade.follow_code(name, **move)
    if said.mode == "rollout":
        if not said.weights:
            raise RequestError("A rollout has no weights.", hint='Say "weights": {"3": 0.9, "5": 0.1}.')
        return await facade.rollout(name, weights=said.weights, **_terms(said), **move)
    if said.version is None:
        raise RequestError("The version is missing.", hint='Say "version": 5.')
    return await facade.release(name, to=which(said.version), expires=said.expires, **move)


def _terms(said: MoveBinding) -> Terms:
    return Terms(
        sticky=said.sticky,
        baseline=said.baseline,
        conditions={} if said.conditions is None else said.conditions.model_dump(exclude_none=True),
        ramp=said.ramp,
        guard=[Guard(**one.model_dump()) for one in said.guards],
    )


async def roll_back_binding(call: Call[Moving, Nothing]) -> Response:
    """Have hold what held before the last move; again, what held before that. No policy is asked."""
    return _moved(await call.app.prompts.rollback(name_of(call), **_move(call)))


async def protect_binding(call: Call[ProtectBinding, Nothing]) -> Response:
    """Let only those move a binding who may release in its environment, or everybody again who may save prompts."""
    return _moved(await call.app.prompts.protect(name_of(call), protected=call.body.protected, **_move(call)))


async def revoke_version(call: Call[RevokeVersion, Nothing]) -> Response:
    """Take a version back. It cannot be released any more; runs that hold it do what the policy says when they go on."""
    number = which(str(call.request.path_params["version"]))
    if isinstance(number, str):
        number = (await call.app.prompts.version(name_of(call), number)).number
    actor = decider(call, call.body.by, "http").name
    return answer(
        version_view(await call.app.prompts.revoke(name_of(call), number, policy=call.body.policy, actor=actor, reason=call.body.reason))
    )


async def delete_version(call: Call[Nothing, DeleteQuery]) -> Response:
    """Delete a version that nobody needs: 409 `version_in_use` says by what it is used. Its number is never used again."""
    name, number = name_of(call), which(str(call.request.path_params["version"]))
    if isinstance(number, str):
        number = (await call.app.prompts.version(name, number)).number
    actor = decider(call, call.query.by, "http").name
    return answer(version_view(await call.app.prompts.delete_version(name, number, actor=actor, reason=call.query.reason)))


async def repin_run(call: Call[RepinRun, Nothing]) -> Response:
    """Have a run hold another version when it goes on, also one that has not asked yet. One that is paused is resumed after that."""
    said, actor = call.body, decider(call, call.body.by, "http").name
    held = await call.app.prompts.repin(said.run, name_of(call), to=which(said.version), actor=actor, reason=said.reason)
    return answer(version_view(held))


async def replay_run(call: Call[ReplayRun, Nothing]) -> Response:
    """Start a run as one was started, with the same input. What it does to the world is done again."""
    handle = await call.app.prompts.replay(call.id, call.body.prompts, by=person(call, call.body.by))
    return answer(await seen(call.app, handle.id), 201)


async def upgrade_thread(call: Call[UpgradeThread, Nothing]) -> Response:
    """Have the next run of a thread take what is live then."""
    said, actor = call.body, decider(call, call.body.by, "http").name
    upgraded = await call.app.prompts.upgrade(said.thread, name_of(call), actor=actor, reason=said.reason)
    return answer(UpgradedThread(upgraded=upgraded))


def _move(call: Call[Any, Nothing]) -> MoveOptions:
    env = str(call.request.path_params["env"])
    grant = call.caller.grant
    return MoveOptions(
        env=env,
        label=str(call.request.path_params["label"]),
        actor=decider(call, call.body.by, "http").name,
        reason=call.body.reason,
        expect_rev=_rev(call.request.headers.get("if-match")),
        allowed=grant is None or env in grant.scopes.releases,
    )


def _rev(header: str | None) -> int | None:
    """The number in `If-Match`. Raises `RequestError` for what is none: a move that was to be guarded is not made unguarded."""
    if header is None or header.strip() == "*":
        return None
    number = header.strip().removeprefix("W/").strip('"')
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        raise RequestError(f"If-Match: {header!r} is no rev of a binding.", hint="Send its `rev`: If-Match: 12.")
    return int(number)


def _moved(binding: BindingRecord) -> Response:
    made = answer(binding_view(binding))
    made.headers["etag"] = f'"{binding.rev}"'
    return made
