"""A conversation with an agent that is spoken to while it works."""

from __future__ import annotations

from agentflow.testing import Engine, scripted_model
from agentflow.testing.models import call, text
from cookbook import scripts
from cookbook.chat_thread import find_flights, traveller
from tests.agents.test_threads import words
from tests.cookbook.conftest import Play, Silence


async def test_what_is_said_while_flights_are_looked_up_is_heard_around_a_crash(engine: Engine, play: Play) -> None:
    silence = Silence(after=1)
    model = play(traveller, scripted_model([call("find_flights", {"day": "Friday"}, id="c1")], [text("At 06:10.")], pace=silence, size=99))
    run = await engine.start(traveller.using(thread="t-7"), "To Lisbon!")
    await silence.begun()
    await engine.app.thread("t-7").send("early", mode="steer")
    await silence.broken_by_crash_of(engine)
    assert await run.result() == "At 06:10."
    assert words(model.requests[-1].messages).count("early") == 1
    assert engine.calls(find_flights) == 1


async def test_without_a_key_a_script_answers_with_all_that_it_was_told(engine: Engine, play: Play) -> None:
    play(traveller, scripts.traveller())
    run = await engine.start(traveller.using(thread="t-7"), "To Lisbon!")
    thread = engine.app.thread("t-7")
    await thread.send("early", mode="steer")
    assert (await run.result()).endswith("(To Lisbon!; early), take the one at 06:10.")
    again = await thread.regenerate("late")
    assert "late" in await again.result()
