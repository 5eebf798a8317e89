"""What is live of a prompt, moved over HTTP; and all operations of prompts."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from agentflow.app.prompts import MoveOptions
from agentflow.server import needs, prompts
from agentflow.server.calls import Call, Operation, answer
from agentflow.server.errors import RequestError
from agentflow.server.prompt_models import (
    DiffQuery,
    EnvQuery,
    LintBody,
    LintPage,
    MoveBinding,
    Moving,
    PinQuery,
    PromptBinding,
    PromptDiff,
    PromptEventPage,
    PromptEventQuery,
    PromptInfo,
    PromptPage,
    PromptPinPage,
    PromptSnapshot,
    PromptVersion,
    PromptVersionPage,
    ProtectBinding,
    RenderedPrompt,
    RenderPrompt,
    RepinRun,
    RevokeVersion,
    SaveVersion,
    UpgradedThread,
    UpgradeThread,
)
from agentflow.server.prompts import binding_view, name_of, version_view, which
from agentflow.server.requests import Nothing
from agentflow.server.waitpoints import decider
from agentflow.storage.bindings import BindingRecord


async def move_binding(call: Call[MoveBinding, Nothing]) -> Response:
    """Have a version hold, or several, or the one that the code has. Runs that hold another go on with it.

    With `If-Match: <rev>` only where nobody moved it since: 409 `version_conflict`, with the binding as it is now.
    """
    facade, name, said, move = call.app.prompts, name_of(call), call.body, _move(call)
    if said.mode == "code":
        return _moved(await facade.follow_code(name, **move))
    if said.mode == "rollout":
        if not said.weights:
            raise RequestError("A rollout has no weights.", hint='Say "weights": {"3": 0.9, "5": 0.1}.')
        return _moved(await facade.rollout(name, weights=said.weights, sticky=said.sticky, **move))
    if said.version is None:
        raise RequestError("The version is missing.", hint='Say "version": 5.')
    return _moved(await facade.release(name, to=which(said.version), expires=said.expires, **move))


async def roll_back_binding(call: Call[Moving, Nothing]) -> Response:
    """Have hold what held before the last move; again, what held before that."""
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


async def repin_run(call: Call[RepinRun, Nothing]) -> Response:
    """Have a run hold another version when it goes on, also one that has not asked yet. One that is paused is resumed after that."""
    said, actor = call.body, decider(call, call.body.by, "http").name
    held = await call.app.prompts.repin(said.run, name_of(call), to=which(said.version), actor=actor, reason=said.reason)
    return answer(version_view(held))


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


_PROMPT = "/v1/prompts/{name}"
_BINDING = f"{_PROMPT}/bindings/{{env}}/{{label}}"
_BY = ("X-Agentflow-By",)
_GUARDED = ("If-Match", *_BY)

OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/prompts",
        handler=prompts.list_prompts,
        needs=needs.PROMPTS,
        summary="List prompts",
        query=EnvQuery,
        answer=PromptPage,
    ),
    Operation(
        method="GET",
        path="/v1/prompt-snapshot",
        handler=prompts.get_prompt_snapshot,
        needs=needs.PROMPTS,
        summary="See all that is live in an environment",
        query=EnvQuery,
        answer=PromptSnapshot,
        statuses=(200, 304),
        headers=("If-None-Match",),
    ),
    Operation(
        method="GET",
        path=f"{_PROMPT}/versions",
        handler=prompts.list_versions,
        needs=needs.PROMPTS,
        summary="List the versions of a prompt, newest first",
        answer=PromptVersionPage,
        problems=(404,),
    ),
    Operation(
        method="POST",
        path=f"{_PROMPT}/versions",
        handler=prompts.save_version,
        needs=needs.DRAFTS,
        summary="Keep a version of a prompt",
        body=SaveVersion,
        answer=PromptVersion,
        statuses=(201, 200),
        problems=(400, 404),
        headers=_BY,
    ),
    Operation(
        method="GET",
        path=f"{_PROMPT}/versions/{{version}}",
        handler=prompts.get_version,
        needs=needs.PROMPTS,
        summary="Look at a version of a prompt",
        answer=PromptVersion,
        problems=(400, 404),
    ),
    Operation(
        method="POST",
        path=f"{_PROMPT}/versions/{{version}}/revoke",
        handler=revoke_version,
        needs=needs.KEY,
        summary="Take a version of a prompt back",
        body=RevokeVersion,
        answer=PromptVersion,
        problems=(400, 404),
        headers=_BY,
    ),
    Operation(
        method="GET",
        path=f"{_PROMPT}/diff",
        handler=prompts.diff_versions,
        needs=needs.PROMPTS,
        summary="See what differs between two versions of a prompt",
        query=DiffQuery,
        answer=PromptDiff,
        problems=(400, 404),
    ),
    Operation(
        method="POST",
        path=f"{_PROMPT}/lint",
        handler=prompts.lint_prompt,
        needs=needs.PROMPTS,
        summary="Have a body of a prompt looked at",
        body=LintBody,
        answer=LintPage,
        problems=(400, 404),
    ),
    Operation(
        method="POST",
        path=f"{_PROMPT}/render",
        handler=prompts.render_prompt,
        needs=needs.RENDERS,
        summary="Fill in a prompt",
        body=RenderPrompt,
        answer=RenderedPrompt,
        problems=(400, 404),
    ),
    Operation(
        method="GET",
        path=f"{_PROMPT}/events",
        handler=prompts.list_prompt_events,
        needs=needs.PROMPTS,
        summary="See what happened to a prompt",
        query=PromptEventQuery,
        answer=PromptEventPage,
        problems=(404,),
    ),
    Operation(
        method="GET",
        path=f"{_PROMPT}/pins",
        handler=prompts.list_prompt_pins,
        needs=needs.PROMPTS,
        summary="See which runs hold versions of a prompt",
        query=PinQuery,
        answer=PromptPinPage,
        problems=(404,),
    ),
    Operation(
        method="POST",
        path=f"{_PROMPT}/repin",
        handler=repin_run,
        needs=needs.KEY,
        summary="Have a run hold another version of a prompt",
        body=RepinRun,
        answer=PromptVersion,
        problems=(400, 404, 409),
        headers=_BY,
    ),
    Operation(
        method="POST",
        path=f"{_PROMPT}/upgrade",
        handler=upgrade_thread,
        needs=needs.KEY,
        summary="Have a thread take what is live of a prompt",
        body=UpgradeThread,
        answer=UpgradedThread,
        problems=(404,),
        headers=_BY,
    ),
    Operation(
        method="POST",
        path=_BINDING,
        handler=move_binding,
        needs=needs.MOVES,
        summary="Release a version of a prompt",
        body=MoveBinding,
        answer=PromptBinding,
        problems=(400, 404, 409),
        headers=_GUARDED,
    ),
    Operation(
        method="POST",
        path=f"{_BINDING}/rollback",
        handler=roll_back_binding,
        needs=needs.MOVES,
        summary="Take the last release of a prompt back",
        body=Moving,
        answer=PromptBinding,
        problems=(400, 404, 409),
        headers=_GUARDED,
    ),
    Operation(
        method="POST",
        path=f"{_BINDING}/protect",
        handler=protect_binding,
        needs=needs.KEY,
        summary="Protect what is live of a prompt",
        body=ProtectBinding,
        answer=PromptBinding,
        problems=(404, 409),
        headers=_GUARDED,
    ),
    Operation(
        method="GET",
        path=_PROMPT,
        handler=prompts.get_prompt,
        needs=needs.PROMPTS,
        summary="Look at a prompt",
        query=EnvQuery,
        answer=PromptInfo,
        problems=(404,),
    ),
)
"""The last of them takes every name, so it comes last."""
