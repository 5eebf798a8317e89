"""What is measured of prompts: the model calls that their versions spoke."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agentflow.clock import SECOND, Clock
from agentflow.database.port import Database
from agentflow.errors import GenerationNotFound
from agentflow.records import UsageRecord
from agentflow.storage import generations, measuring, prompts, runs, usage
from agentflow.storage.generations import GenerationRecord, Which
from agentflow.storage.measuring import Grouping, Lately, Measured, Metrics
from agentflow.storage.statements import SQL

DAY = 86_400 * SECOND
WEEK = 7 * DAY


@dataclass(frozen=True, slots=True)
class GenerationPage:
    """Model calls, the newest first; `next` is the cursor of the next page, None on the last."""

    generations: list[GenerationRecord]
    next: str | None


class Measuring:
    """The part of `app.prompts` that counts. Times are microseconds since 1970, costs nano-USD."""

    def __init__(self, database: Database, clock: Clock, environment: str) -> None:
        self._database = database
        self._clock = clock
        self.environment = environment

    async def usage(self, name: str, number: int, since: int = -1) -> UsageRecord:
        """What the model calls used that spoke by a version, after a moment. Raises `VersionNotFound`."""
        await self._database.read(prompts.find(name, number))
        return await self._database.read(usage.of_prompt(name, number, since))

    async def metrics(
        self, name: str, env: str | None = None, *, since: int | None = None, group: Grouping = "version", rollout: str | None = None
    ) -> list[Metrics]:
        """Calls, errors, cost and times of each version, the newest first, or of each variant of each rollout (`group="variant"`).

        `since` (default: a week ago) is as far back as calls are kept at most, 90 days; `env` and `rollout` are all without. Each try of a
        model call in a run counts; calls outside of runs are not recorded. Raises `PromptNotFound`.

        >>> for one in await app.prompts.metrics("support"):
        ...     print(one.version, one.calls, one.error_rate, one.error_interval)
        """
        await self._known(name)
        after = self._clock.now() - WEEK if since is None else since
        return await self._database.read(measuring.measure(Measured(prompt=name, since=after, env=env, rollout=rollout, by=group)))

    async def generations(
        self,
        name: str,
        version: int | None = None,
        variant: str | None = None,
        *,
        since: int | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> GenerationPage:
        """The model calls that a prompt's versions spoke, the newest first: of one version or variant, or all. Raises `PromptNotFound`."""
        await self._known(name)
        which = Which(prompt=name, version=version, variant=variant, since=-1 if since is None else since, after=cursor)
        found = await self._database.read(generations.each(which, limit + 1))
        return GenerationPage(found[:limit], found[limit - 1].id if len(found) > limit else None)

    async def spoken(self, run_id: str) -> list[GenerationRecord]:
        """The model calls of a run that versions of prompts spoke, in their order; the first 1,000. Raises `RunNotFound`.

        >>> [(one.step, one.prompt, one.version) for one in await app.prompts.spoken("run_0192…")]
        """
        run = await self._database.read(runs.get(run_id))
        return await self._database.read(generations.of_run(run.key, run_id))

    async def generation(self, name: str, id: str) -> GenerationRecord:
        """One call, with the variables that the prompt was filled with, for as long as its run is there.

        Raises `PromptNotFound` and `GenerationNotFound`.
        """
        found = await self._database.read(generations.get(name, id))
        if found is None:
            await self._known(name)
            raise GenerationNotFound(f"{name} has no call {id}.", hint="It may be gone: calls are kept for 90 days.", prompt=name, id=id)
        return found

    async def lately(self, env: str | None = None) -> Mapping[str, Lately]:
        """Calls, errors and cost of each prompt in an environment (default: this one) in the last 24 hours."""
        return await self._database.read(measuring.lately(env or self.environment, self._clock.now() - DAY))

    async def _known(self, name: str) -> None:
        if not await self._database.fetch(SQL.prompts.get(name=name, env=self.environment)):
            raise prompts.not_found(name)
