"""What has to be before prompts are moved, and what was asked for under that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Required, TypedDict, Unpack

from agentflow.app.releasing import Releases
from agentflow.clock import Clock, Duration, microseconds
from agentflow.database.port import Database
from agentflow.storage import policies, requests
from agentflow.storage.policies import ALL, PolicyRecord
from agentflow.storage.requests import RequestRecord


class PolicyOptions(TypedDict, total=False):
    """What has to be before a move. Only `actor`, who sets it, is required.

    `people` who say yes, of `users` and `groups` (whoever may answer waitpoints, where neither is named), never whoever asks; they are told
    where `notify` says, and silence is a no after `expires` (default: never). `gate` is the name of a task that is started with `prompt`,
    `version` and `env`, and lets pass what it returns `passed: true` for. `env` is this app's by default.
    """

    actor: Required[str]
    reason: str
    env: str | None
    people: int
    users: Sequence[str]
    groups: Sequence[str]
    gate: str | None
    expires: Duration | None
    notify: Sequence[str]


class Policies:
    """`app.prompts.policies`: have others agree before a prompt is moved.

    >>> await app.prompts.policies.set("support", people=2, groups=["editors"], gate="evaluate_support", actor="maria")
    """

    def __init__(self, database: Database, clock: Clock, environment: str, releases: Releases) -> None:
        self._database = database
        self._clock = clock
        self._environment = environment
        self._releases = releases

    async def of(self, prompt: str, env: str | None = None) -> PolicyRecord | None:
        """What holds for a prompt: its own policy, else that of `*`; None where there is neither."""
        return await self._database.read(policies.of(prompt, env or self._environment))

    async def list(self) -> list[PolicyRecord]:
        """All policies, by prompt and environment."""
        return list(await self._database.read(policies.everything()))

    async def set(self, prompt: str = ALL, **said: Unpack[PolicyOptions]) -> PolicyRecord:
        """Say what has to be before a prompt, or every one that has no policy of its own (`*`), is moved in an environment.

        With neither `people` nor a `gate` everybody moves it. What was asked for under the policy before is asked for in vain. Raises
        `PromptNotFound`, `UnknownTask` for a gate that nobody knows, `DefinitionError` for what nobody could decide.
        """
        who: dict[str, Any] = {name: list(given) for name in ("users", "groups", "notify") if (given := said.get(name))}
        expires = said.get("expires")
        policy = PolicyRecord(
            prompt=prompt,
            env=said.get("env") or self._environment,
            people=said.get("people", 0),
            gate=said.get("gate"),
            who=who,
            lasts=None if expires is None else microseconds(expires),
            actor=said["actor"],
        )
        await self._releases.check(policy)
        return await self._database.transact(policies.put(policy, said.get("reason", ""), self._clock.now()))


class Requests:
    """`app.prompts.requests`: what was asked for, and what became of it.

    >>> (await app.prompts.requests.get(error.details["request"])).state
    'released'
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, id: str) -> RequestRecord:
        """One request. Raises `RequestNotFound`."""
        return await self._database.read(requests.get(id))

    async def of(self, prompt: str, env: str | None = None) -> Sequence[RequestRecord]:
        """What was asked for of a prompt, in one environment or all, the newest first."""
        return await self._database.read(requests.of_prompt(prompt, env))
