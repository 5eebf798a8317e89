"""A response that OpenAI makes in the background: named in the record at once, found again after a crash, cancelled with its run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from typing import Any, cast

from openai import AsyncOpenAI, AsyncStream, OpenAIError

from agentflow import context
from agentflow.adapters import ModelCall, Narrator, StepTimeout
from agentflow_openai import responses
from agentflow_openai.hearing import hear, sound, translated

Ask = Callable[[], Awaitable[AsyncStream[object]]]


class Background:
    """One call, in two steps: the first records which response it is, the second what it says."""

    def __init__(self, client: AsyncOpenAI, call: ModelCall, ask: Ask) -> None:
        self._client = client
        self._call = call
        self._ask = ask
        self._live: AsyncStream[object] | None = None
        self._id = ""
        self._after = 0

    async def record(self) -> Any:
        """The finished response."""
        try:
            named = await self._call.step(self._create, "created", share="first")
            self._id, self._after = named["id"], named["after"]
            return await self._followed()
        except asyncio.CancelledError as stopped:
            if self._id and self._call.ends(stopped):
                await self._call.aside("cancelled", self._cancel)
            raise
        finally:
            self._call.over()
            await self._leave()

    async def _followed(self) -> Any:
        """Follow it for as long as it is being made: in the background a model may be silent for longer than any timeout."""
        for silences in count(1):
            try:
                return await self._call.step(self._follow, None if silences == 1 else f"again.{silences}", share="rest")
            except StepTimeout:
                if not await self._call.aside(f"alive.{silences}", self._is_alive):
                    raise
        return None

    async def _create(self, told: Narrator) -> Any:
        await self._leave()
        with translated():
            self._live = await self._ask()
            named = sound(await anext(self._live))
        return {"id": named["response"]["id"], "after": named["sequence_number"]}

    async def _follow(self, told: Narrator) -> Any:
        # The stream that named the response goes on; any other try finds the response again.
        opening = self._taken() if self._live is not None else self._found_again()
        response = await hear(opening, responses.Hearing(told), curable=False)
        told.used(response, provider="openai", flavor="responses")
        return response

    async def _taken(self) -> AsyncStream[object]:
        live, self._live = self._live, None
        return cast("AsyncStream[object]", live)

    async def _found_again(self) -> AsyncStream[object]:
        params = {"stream": True, "starting_after": self._after}
        path, stream = f"/responses/{self._id}", AsyncStream[object]
        return await self._client.get(path, cast_to=object, options={"params": params, "max_retries": 0}, stream=True, stream_cls=stream)

    async def _is_alive(self) -> bool:
        with suppress(OpenAIError):
            return (await self._client.responses.retrieve(self._id)).status in ("queued", "in_progress")
        return False

    async def _cancel(self) -> Any:
        try:
            return (await self._client.responses.cancel(self._id)).status
        except OpenAIError as error:
            # The run ends all the same, and so will the response.
            context().log.warning("response %s could not be cancelled: %s", self._id, error)
            return None

    async def _leave(self) -> None:
        if self._live is not None:
            await self._live.close()
            self._live = None
