"""Prompts over HTTP: the verbs of an app."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import httpx
from pydantic_core import from_json

from agentflow.client.answers import Handling, binding_of, error_of, version_of
from agentflow.client.prompt_follower import PromptFollower
from agentflow.clock import Clock, Duration
from agentflow.errors import ReleaseRequested, ServerUnreachable
from agentflow.handle import RunHandle
from agentflow.serde import ANY
from agentflow.storage.bindings import BindingRecord
from agentflow.storage.prompts import VersionRecord
from agentflow.storage.rollouts import Guard


class ClientPrompts:
    """`client.prompts`: see what is live where, and change it without a deploy. Raises what the app raises: `BindingConflict` …

    >>> await client.prompts.release("support", to=5, env="prod", by="maria", reason="cites the policy")
    """

    def __init__(self, client: Handling, http: httpx.AsyncClient) -> None:
        self._client = client
        self._http = http

    async def list(self, env: str | None = None) -> list[dict[str, Any]]:
        """All prompts, as `GET /v1/prompts` tells them."""
        return (await self._client.ask("GET", "/v1/prompts", env=env))["prompts"]

    async def get(self, name: str, env: str | None = None) -> dict[str, Any]:
        """One prompt, as `GET /v1/prompts/<name>` tells it. Raises `PromptNotFound`."""
        return await self._client.ask("GET", _path(name), env=env)

    async def versions(self, name: str) -> list[VersionRecord]:
        """All versions, the newest first. Raises `PromptNotFound`."""
        found = await self._client.ask("GET", f"{_path(name)}/versions")
        return [version_of(one) for one in found["versions"]]

    async def version(self, name: str, which: int | str) -> VersionRecord:
        """A version by its number or hash. Raises `VersionNotFound`."""
        return version_of(await self._client.ask("GET", f"{_path(name)}/versions/{which}"))

    async def save(self, name: str, body: str, *, by: str, note: str = "", contract: Mapping[str, Any] | None = None) -> VersionRecord:
        """Keep a body, JSON text as of `Body.json`, as a version; `contract` is the schema of the variables, for a prompt that is new.

        Raises `PromptNotFound`, `ContractError`, `TemplateError`.
        """
        said = {"body": from_json(body), "note": note, "contract": contract, "by": by}
        return version_of(await self._client.ask("POST", f"{_path(name)}/versions", said))

    async def delete_version(self, name: str, number: int, *, by: str, reason: str = "") -> VersionRecord:
        """Delete a version that nobody needs; its number is never used again. Raises `VersionNotFound` and `VersionInUse`."""
        return version_of(await self._client.ask("DELETE", f"{_path(name)}/versions/{number}", by=by, reason=reason))

    async def diff(self, name: str, before: int | str, after: int | str) -> dict[str, Any]:
        """Two versions side by side, as the server tells them. Raises `VersionNotFound`."""
        return await self._client.ask("GET", f"{_path(name)}/diff", before=str(before), after=str(after))

    async def metrics(self, name: str, env: str | None = None, *, since: int | None = None, group: str = "version") -> dict[str, Any]:
        """What was measured of the versions, as `GET /v1/prompts/<name>/metrics` tells it; `since` is milliseconds since 1970.

        Raises `PromptNotFound`.
        """
        return await self._client.ask("GET", f"{_path(name)}/metrics", env=env, since=since, group=group)

    async def generations(
        self, name: str, version: int | None = None, variant: str | None = None, *, cursor: str | None = None, limit: int = 50
    ) -> dict[str, Any]:
        """The model calls that versions spoke, newest first, as the server tells them; `next` is the next page's cursor.

        Raises `PromptNotFound`.
        """
        path = f"{_path(name)}/generations"
        return await self._client.ask("GET", path, version=version, variant=variant, cursor=cursor, limit=limit)

    async def generation(self, name: str, id: str) -> dict[str, Any]:
        """One model call, with the variables that the prompt was filled with. Raises `PromptNotFound` and `GenerationNotFound`."""
        return await self._client.ask("GET", f"{_path(name)}/generations/{quote(id, safe='')}")

    async def export(self, *, live: bool = False, env: str | None = None) -> bytes:
        """All versions of all prompts, or what is `live` in an environment, as one tar of files."""
        query = {"live": str(live).lower(), **({} if env is None else {"env": env})}
        return (await self._archive("GET", "/v1/prompt-export", query, None)).content

    async def bring(self, archive: bytes, *, by: str, labels: bool = False) -> dict[str, Any]:
        """Keep the versions of such a tar, as `POST /v1/prompt-import` tells; with `labels` what was released there is released here."""
        query = {"by": by, "labels": str(labels).lower()}
        return from_json((await self._archive("POST", "/v1/prompt-import", query, archive)).content)

    async def _archive(self, method: str, path: str, query: dict[str, str], content: bytes | None) -> httpx.Response:
        headers = {} if content is None else {"content-type": "application/x-tar"}
        try:
            answer = await self._http.request(method, path, params=query, content=content, headers=headers)
            if answer.is_error:
                raise error_of(answer.status_code, from_json(answer.content))
        except (httpx.TransportError, ValueError) as error:
            hint = "Is this the URL of an agentflow server?"
            raise ServerUnreachable(f"{self._http.base_url} does not answer: {error}", hint=hint) from error
        return answer

    def follow(self, env: str | None = None, *, folder: str | Path | None = None, clock: Clock | None = None) -> PromptFollower:
        """Know at once what holds in an environment (default: the server's own), and fill it in without asking.

        While the server is away, what held last is used, also after a restart if there is a `folder` to keep it in, else what the code has:
        the same hash. A token needs `prompt:read`, and `prompt:write` to tell the server of that.

            async with client.prompts.follow("prod", folder="cache") as live:
                p = await live.get(support, name="Ada", issue="…", sticky=tenant)
        """
        return PromptFollower(self._http, env, None if folder is None else Path(folder), clock)

    async def release(
        self,
        name: str,
        *,
        to: int | str,
        env: str,
        by: str,
        reason: str = "",
        expires: Duration | None = None,
        expect_rev: int | None = None,
    ) -> BindingRecord:
        """Have a version hold in an environment. `expect_rev`: only if nobody moved it since.

        Raises `ReleaseRequested` where a policy has others agree first: then it was asked for, and nothing is moved yet. Raises
        `VersionNotFound`, `BindingConflict`, `BindingProtected`, `ContractError`.
        """
        said = {"version": to, "expires": expires}
        return await self._move(name, env, "", {**said, "reason": reason, "by": by}, expect_rev)

    async def follow_code(self, name: str, *, env: str, by: str, reason: str = "", expect_rev: int | None = None) -> BindingRecord:
        """Have the version hold that the code has. Raises as `release`."""
        return await self._move(name, env, "", {"mode": "code", "reason": reason, "by": by}, expect_rev)

    async def rollback(self, name: str, *, env: str, by: str, reason: str = "", expect_rev: int | None = None) -> BindingRecord:
        """Have hold what held before the last move. Raises as `release`, and `PromptError` when there was none."""
        return await self._move(name, env, "/rollback", {"reason": reason, "by": by}, expect_rev)

    async def rollout(
        self, name: str, *, weights: Mapping[int, float], env: str, by: str, expect_rev: int | None = None, **terms: Any
    ) -> BindingRecord:
        """Have several versions hold side by side. `terms` are `reason`, `sticky`, `baseline`, `conditions`, `ramp` and `guard`, as
        `app.prompts.rollout` takes them. Raises as `release`.
        """
        guard: Any = terms.pop("guard", ())
        guards = [asdict(one) for one in ([guard] if isinstance(guard, Guard) else guard)]
        said = {"mode": "rollout", "weights": {str(number): weight for number, weight in weights.items()}, "guards": guards}
        return await self._move(name, env, "", {**said, **terms, "by": by}, expect_rev)

    async def policy(self, name: str, env: str) -> dict[str, Any] | None:
        """What has to be before a prompt is moved there, as `GET /v1/prompts/<name>/policies/<env>` tells it; None where nothing has."""
        return (await self._client.ask("GET", f"{_path(name)}/policies/{quote(env, safe='')}"))["policy"]

    async def policies(self) -> builtins.list[dict[str, Any]]:
        """All policies, by prompt and environment."""
        return (await self._client.ask("GET", "/v1/prompt-policies"))["policies"]

    async def set_policy(self, name: str, *, env: str, by: str, **said: Any) -> dict[str, Any]:
        """Say what has to be before a prompt, or each that has no policy of its own (`*`), is moved there. It needs an API key.

        `people` who say yes, of `users` and `groups`, a `gate` that evaluates, `expires`, `notify`, `reason`: as `app.prompts.policies.set`
        takes them. Raises `PromptNotFound`, `UnknownTask`, `DefinitionError`.
        """
        return await self._client.ask("POST", f"{_path(name)}/policies/{quote(env, safe='')}", {**said, "by": by})

    async def requests(self, name: str, env: str | None = None) -> builtins.list[dict[str, Any]]:
        """What was asked for of a prompt, the newest first. Raises `PromptNotFound`."""
        return (await self._client.ask("GET", f"{_path(name)}/requests", env=env))["requests"]

    async def request(self, id: str) -> dict[str, Any]:
        """What became of a move that was asked for: its `status` is asked, released, denied or conflict."""
        return await self._client.ask("GET", f"/v1/prompt-requests/{quote(id, safe='')}")

    async def repin(self, run_id: str, name: str, *, to: int | str, by: str, reason: str = "") -> VersionRecord:
        """Have a run hold another version when it goes on.

        Raises `RunNotFound`, `RunError`, `PromptNotFound`, `VersionNotFound`, `PromptError`.
        """
        said = {"run": run_id, "version": to, "by": by, "reason": reason}
        return version_of(await self._client.ask("POST", f"{_path(name)}/repin", said))

    async def upgrade(self, thread: str, name: str, *, by: str, reason: str = "") -> bool:
        """Have the next run of a thread take what is live then; False where it holds nothing. Raises `PromptNotFound`."""
        said = {"thread": thread, "by": by, "reason": reason}
        return (await self._client.ask("POST", f"{_path(name)}/upgrade", said))["upgraded"]

    async def replay(
        self, run_id: str, prompts: Mapping[str, int] | Literal["current"] | None = None, *, by: str | None = None
    ) -> RunHandle[Any]:
        """Start a run as one was started, by the versions that it held, by these instead, or by what is live now; `by` is in whose name.

        What it does to the world is done again. Raises `RunNotFound`, `UnknownTask`, `VersionNotFound`.

        >>> run = await client.prompts.replay("run_0192…", {"support": 5}, by="maria")
        """
        told = await self._client.ask("POST", f"/v1/runs/{quote(run_id, safe='')}/replay", {"prompts": prompts, "by": by})
        return RunHandle(told["id"], self._client.runs, ANY)

    async def _move(self, name: str, env: str, verb: str, said: Mapping[str, Any], expect_rev: int | None) -> BindingRecord:
        headers = {} if expect_rev is None else {"if-match": str(expect_rev)}
        told = await self._client.ask("POST", f"{_path(name)}/bindings/{quote(env, safe='')}/live{verb}", said, headers)
        if "target" in told:
            details = {"prompt": name, "request": told["id"], "run": told["run"], "waitpoint": told["waitpoint"]}
            hint = f"Nothing is moved before that. See `client.prompts.request({told['id']!r})`."
            raise ReleaseRequested(f"It was asked for: {name} in {env} is moved once others agree.", hint=hint, **details)
        return binding_of(name, told)


def _path(name: str) -> str:
    return f"/v1/prompts/{quote(name)}"
