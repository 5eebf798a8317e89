"""What is said to an agent while it works in a thread reaches it between its turns; what it said before it was stopped is kept."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic_ai import ModelRequestNode, RunContext
from pydantic_ai.capabilities import AbstractCapability, AgentNode, NodeResult, WrapNodeRunHandler
from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, UserPromptPart
from pydantic_ai.models import ModelRequestContext
from pydantic_graph import End

from agentflow.agents.handoff import HandedOver
from agentflow.agents.units import Loop, loops
from agentflow.engine.context import recording
from agentflow.streams.events import Data

HEARD = "heard"
"""The name of the `data` event that tells viewers what an agent heard while it worked."""


class Steering(AbstractCapability[Any]):
    """Hands the messages that were sent for the run at work to its model, before its next request, and where it would have ended."""

    async def before_model_request(self, ctx: RunContext[Any], request_context: ModelRequestContext) -> ModelRequestContext:
        """What has come is a part of this request."""
        await _hear(ctx, "turn")
        return request_context

    async def after_node_run(self, ctx: RunContext[Any], *, node: AgentNode[Any], result: NodeResult[Any]) -> NodeResult[Any]:
        """What came during the last turn makes another one of it, unless that was the last it may have: then it is the next run."""
        if isinstance(result, End) and not isinstance(result.data.output, HandedOver) and not _spent(ctx):
            await _hear(ctx, "end")
        return result

    async def wrap_node_run(self, ctx: RunContext[Any], *, node: AgentNode[Any], handler: WrapNodeRunHandler[Any]) -> NodeResult[Any]:
        """Of an answer that is cut short, keep the text: half a thought has no signature, and half a call no arguments."""
        try:
            return await handler(node)
        except asyncio.CancelledError:
            loop = loops.get()
            if isinstance(node, ModelRequestNode) and loop is not None and loop.told is not None and loop.told.texts:
                parts = [TextPart(text) for text in loop.told.texts]
                ctx.messages.append(ModelResponse(parts=parts, run_id=ctx.run_id, state="interrupted"))
            raise


def _spent(ctx: RunContext[Any]) -> bool:
    """Whether it has no turn left: what comes now is for the next run."""
    loop = loops.get()
    if loop is not None and loop.spent:
        return True
    limit = None if ctx.usage_limits is None else ctx.usage_limits.request_limit
    return limit is not None and ctx.usage.requests >= limit


async def _hear(ctx: RunContext[Any], place: str) -> None:
    run, loop = recording(), loops.get()
    if run is None or loop is None or run.thread is None:
        return
    key, texts = loop.key(f"{place}:{ctx.run_step}/heard"), list[str]()
    try:
        while (said := await run.thread.heard(f"{key}.{len(texts)}")) is not None:
            texts.append(str(said["prompt"]))
        for text in texts:
            await _tell(loop, text)
    except asyncio.CancelledError:
        # Heard, and the model is not asked any more: it stays a part of the conversation.
        ctx.messages.extend(ModelRequest(parts=[UserPromptPart(text)], run_id=ctx.run_id) for text in texts)
        raise
    for text in texts:
        ctx.enqueue(text)


async def _tell(loop: Loop, text: str) -> None:
    key = loop.key(HEARD)
    await loop.tell(key, HEARD, Data(HEARD, {"text": text}, id=key))
