"""The route: chosen once, whatever happens afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path
from typing import Any

import pytest

from agentflow.testing import Engine, call, scripted_model, text
from cookbook import scripts
from cookbook.routing import DESKS, Reply, answer_customer, billing_desk, dispatcher, technical_desk
from tests.cookbook.conftest import PATIENCE, Play, Silence
from tests.gates.sources import ROOT
from tests.traffic.answers import Answer, document
from tests.traffic.provider import serving


@pytest.mark.parametrize(
    ("question", "desk"),
    [("I was charged twice.", "billing"), ("It says error 42.", "technical"), ("Where are you?", "general")],
)
async def test_a_question_is_answered_at_its_desk_alone(engine: Engine, play: Play, question: str, desk: str) -> None:
    play(dispatcher, scripts.dispatcher())
    desks = {name: play(agent, scripted_model([text(f"{name} answers")])) for name, agent in DESKS.items()}
    run = await engine.start(answer_customer, question)
    assert await run.result() == Reply.model_validate({"desk": desk, "text": f"{desk} answers"})
    assert [name for name, model in desks.items() if model.requests] == [desk]
    assert (await engine.get(run)).metadata == f'{{"desk":"{desk}"}}'


async def test_a_crash_while_the_desk_speaks_does_not_ask_for_the_way_again(engine: Engine, play: Play) -> None:
    # Asked a second time, this dispatcher would send the customer elsewhere.
    silence, ways = Silence(after=1), ["technical", "billing"]
    chosen = play(dispatcher, scripted_model(lambda _: [call("final_result", {"desk": ways.pop(), "reason": "money"})]))
    play(technical_desk, scripted_model([text("Have you tried to restart?")]))
    play(billing_desk, scripted_model([text("You have your money back.")], pace=silence))
    run = await engine.start(answer_customer, "I was charged twice.")
    await silence.broken_by_crash_of(engine)
    assert await run.result() == Reply(desk="billing", text="You have your money back.")
    assert len(chosen.requests) == 1


def said(*content: dict[str, Any], stop: str) -> Answer:
    """A message of Anthropic."""
    usage = {"input_tokens": 10, "output_tokens": 5}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-6", "content": content, "usage": usage}
    return document({**message, "stop_reason": stop, "stop_sequence": None})


async def test_with_a_key_the_program_asks_the_provider(tmp_path: Path) -> None:
    route = {"type": "tool_use", "id": "toolu_1", "name": "final_result", "input": {"desk": "billing", "reason": "money"}}
    reply = {"type": "text", "text": "You have it back."}
    async with serving(said(route, stop="tool_use"), said(reply, stop="end_turn")) as provider:
        keys = {"ANTHROPIC_API_KEY": "sk-ant-none", "ANTHROPIC_BASE_URL": provider.url, "PYTHONPATH": str(ROOT)}
        command = (sys.executable, "-m", "cookbook.routing", "I was charged twice")
        program = await asyncio.create_subprocess_exec(
            *command, cwd=tmp_path, env={**os.environ, **keys}, stdin=DEVNULL, stdout=PIPE, stderr=PIPE
        )
        out, err = await asyncio.wait_for(program.communicate(), PATIENCE)
    assert (out.decode(), err.decode()) == ("billing: You have it back.\n", "")
    assert [one.body["model"] for one in provider.requests] == ["claude-sonnet-4-6"] * 2
    assert "Decide which desk answers" in json.dumps(provider.requests[0].body["system"])
    assert provider.requests[1].body["messages"][0]["content"][0]["text"] == "I was charged twice"
