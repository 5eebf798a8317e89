"""Loops of one's own on the raw SDKs, each as a task: ask, run the tools, ask again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anthropic
import openai

from agentflow import ai, task
from agentflow.engine.task import Task

Loop = Task[..., str]


def on_anthropic(client: anthropic.AsyncAnthropic, tools: Sequence[ai.Tool], name: str) -> Loop:
    """A loop on the Messages API."""
    given: Any = [tool.to_anthropic() for tool in tools]

    @task(name=name)
    async def converse(prompt: str) -> str:
        messages: list[Any] = [{"role": "user", "content": prompt}]
        while True:
            message = await client.messages.create(model="claude-sonnet-4-6", max_tokens=99, messages=messages, tools=given)
            told = await ai.run_tools(message, tools)
            if not told:
                return "".join(block.text for block in message.content if block.type == "text")
            messages += [{"role": "assistant", "content": message.content}, {"role": "user", "content": told}]

    return converse


def on_responses(client: openai.AsyncOpenAI, tools: Sequence[ai.Tool], name: str, *, background: bool = False) -> Loop:
    """A loop on the Responses API."""
    given: Any = [tool.to_openai() for tool in tools]

    @task(name=name)
    async def converse(prompt: str) -> str:
        said: list[Any] = [{"type": "message", "role": "user", "content": prompt}]
        while True:
            response = await client.responses.create(model="gpt-5", input=said, tools=given, background=background)
            told = await ai.run_tools(response, tools)
            if not told:
                return response.output_text
            said += [*response.output, *told]

    return converse


def on_chat(client: openai.AsyncOpenAI, tools: Sequence[ai.Tool], name: str) -> Loop:
    """A loop on Chat Completions."""
    given: Any = [tool.to_openai("chat") for tool in tools]

    @task(name=name)
    async def converse(prompt: str) -> str:
        messages: list[Any] = [{"role": "user", "content": prompt}]
        while True:
            answer = await client.chat.completions.create(model="gpt-4o", messages=messages, tools=given)
            told = await ai.run_tools(answer, tools)
            if not told:
                return answer.choices[0].message.content or ""
            messages += [answer.choices[0].message, *told]

    return converse
