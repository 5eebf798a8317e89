"""Answers made anew, forks and summaries of conversations, on the real engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from pydantic_ai import BinaryContent, ImageUrl
from pydantic_ai.messages import ModelMessage

from agentflow import Agent, Compaction, Retry, ai
from agentflow.agents.recalling import summing_model
from agentflow.errors import DefinitionError, RunError, RunFailed, ThreadBusy, ThreadExists, ThreadNotFound
from agentflow.serde import loads
from agentflow.testing import Engine
from agentflow.testing.models import Said, call, scripted_model, text
from tests.agents.test_inputs import asked
from tests.agents.test_steering import Gate, give, look
from tests.agents.test_threads import words

pytestmark = pytest.mark.both_databases


class Counting:
    """A model that says how often it was asked, so that no answer is like another."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.fails = False
        self.model = scripted_model(*[self._answer] * 60)

    def _answer(self, messages: list[ModelMessage]) -> Sequence[Said]:
        self.asked.append(words(messages))
        if self.fails:
            raise ValueError("no answer")
        return [text(f"a{len(self.asked)}")]


async def say(engine: Engine, support: Agent[str], *said: str, thread: str = "t-7") -> None:
    for one in said:
        await (await engine.start(support.using(thread=thread), one)).result()


async def history(engine: Engine, thread: str = "t-7") -> list[str]:
    return words(await engine.app.thread(thread).history())


async def test_the_last_question_is_answered_anew_and_the_old_answer_stays_in_the_log(engine: Engine) -> None:
    model = Counting()
    support = Agent("support", model=model.model)
    await say(engine, support, "q1", "q2")
    thread = engine.app.thread("t-7")
    again = await thread.regenerate(idempotency_key="once")
    assert (await thread.regenerate(idempotency_key="once")).id == again.id
    assert await again.result() == "a3"
    assert model.asked[-1] == ["q1", "a1", "q2"]
    assert await history(engine) == ["q1", "a1", "q2", "a3"]
    await say(engine, support, "q3")
    assert model.asked[-1] == ["q1", "a1", "q2", "a3", "q3"]
    assert await (await thread.regenerate("q3, edited")).result() == "a5"
    assert await history(engine) == ["q1", "a1", "q2", "a3", "q3, edited", "a5"]
    report = await engine.replay(again)
    assert not report.diverges, report


async def test_the_first_question_of_all_may_be_answered_anew(engine: Engine) -> None:
    model = Counting()
    support = Agent("support", model=model.model)
    await say(engine, support, "q1")
    for number in (2, 3):
        assert await (await engine.app.thread("t-7").regenerate()).result() == f"a{number}"
        assert await history(engine) == ["q1", f"a{number}"]
    assert model.asked == [["q1"]] * 3


async def test_a_regeneration_that_fails_leaves_the_old_answer_and_may_be_tried_again(engine: Engine) -> None:
    model = Counting()
    support = Agent("support", model=model.model)
    await say(engine, support, "q1", "q2")
    thread = engine.app.thread("t-7")
    model.fails = True
    with pytest.raises(RunFailed):
        await (await thread.regenerate("edited")).result()
    assert await history(engine) == ["q1", "a1", "q2", "a2"]
    model.fails = False
    assert await (await thread.regenerate()).result() == "a4"
    assert await history(engine) == ["q1", "a1", "edited", "a4"]


async def test_what_a_failed_run_was_asked_is_what_is_answered_anew(engine: Engine) -> None:
    model = Counting()
    support = Agent("support", model=model.model)
    await say(engine, support, "q1")
    model.fails = True
    with pytest.raises(RunFailed):
        await say(engine, support, "q2")
    model.fails = False
    assert await (await engine.app.thread("t-7").regenerate()).result() == "a3"
    assert await history(engine) == ["q1", "a1", "q2", "a3"]


async def pay(cents: int) -> str:
    """Pay."""
    return f"paid {cents}"


async def receipt(cents: int) -> BinaryContent:
    """Print a receipt."""
    return BinaryContent(bytes(cents), media_type="image/png")


@pytest.mark.parametrize("tool", [pay, receipt])
async def test_what_a_tool_was_told_by_people_is_no_question(engine: Engine, tool: Callable[..., Any]) -> None:
    first = [[call("pay", {"cents": 900}, id="c1")], [text("again")]]
    model = scripted_model(lambda _: first.pop(0), [text("paid")])
    support = Agent("support", model=model, tools=[ai.tool(tool, name="pay", approval=True)])
    run = await engine.start(support.using(thread="t-7"), "pay me back")
    [question] = await engine.waiting(run, kind="approval")
    await question.approve(by="maria", edits={"cents": 5})
    assert await run.result() == "paid"
    assert "A person changed the arguments of pay" in str(model.requests[1].messages[-1])
    assert await (await engine.app.thread("t-7").regenerate()).result() == "again"
    assert words(model.requests[-1].messages) == ["pay me back"]
    assert await history(engine) == ["pay me back", "again"]


QUESTION = ["What is it?", ImageUrl("https://example.com/cat.png"), BinaryContent(b"\x89\xff", media_type="image/png")]


async def test_images_and_files_of_a_question_are_asked_again(engine: Engine) -> None:
    animals = ["a cat", "a dog", "a fox"]
    model = scripted_model(lambda _: [text(animals.pop(0))])
    support = Agent("support", model=model)
    first = await engine.start(support.using(thread="t-7"), QUESTION)
    assert await first.result() == "a cat"
    again = await engine.app.thread("t-7").regenerate()
    assert await again.result() == "a dog"
    assert await (await engine.app.thread("t-7").regenerate()).result() == "a fox"
    assert [asked(model, turn)[2].data for turn in range(3)] == [b"\x89\xff"] * 3
    assert loads((await engine.get(again)).input) == loads((await engine.get(first)).input)


async def test_images_and_files_of_a_question_that_failed_are_asked_again(engine: Engine) -> None:
    model = scripted_model(ValueError("no answer"), [text("a cat")])
    support = Agent("support", model=model)
    with pytest.raises(RunFailed):
        await (await engine.start(support.using(thread="t-7"), QUESTION)).result()
    assert await (await engine.app.thread("t-7").regenerate()).result() == "a cat"
    assert asked(model, -1)[2].data == b"\x89\xff"


async def test_while_a_run_is_under_way_nothing_is_made_anew(engine: Engine) -> None:
    gate = Gate()
    support = Agent("support", model=scripted_model([text("one")], pace=gate.pace))
    thread = engine.app.thread("t-7")
    with pytest.raises(ThreadNotFound):
        await thread.regenerate()
    run = await engine.start(support.using(thread="t-7"), "q1")
    await gate.reached.wait()
    for text_ in (None, "edited"):
        with pytest.raises(ThreadBusy):
            await thread.regenerate(text_)
    gate.open.set()
    assert await run.result() == "one"
    with pytest.raises(RunError, match="Nobody has asked"):
        await (await thread.fork(at=0, id="empty")).regenerate()


async def test_a_crash_in_the_middle_of_a_regeneration_ends_in_one_new_answer(engine: Engine) -> None:
    model = scripted_model([text("a1")], [call("give", {"order": "o-1"}, id="c1")], [text("a2")])
    support = Agent("support", model=model, tools=[ai.tool(give, approval=True)])
    await say(engine, support, "q1")
    run = await engine.start(support.using(thread="t-7"), "q2")
    [question] = await engine.waiting(run, kind="approval")
    await question.approve(by="maria")
    await run.result()
    again = await engine.app.thread("t-7").regenerate()
    while not (asked := await engine.app.waitpoints.list(kind="approval")):
        await engine.settle()
    await engine.crash()
    await engine.app.waitpoints.approve(asked[0].id, by="maria")
    assert (await engine.app.runs.ended(again.id)).output == '"a2"'
    assert await history(engine) == ["q1", "a1", "q2", "give", "gave for o-1", "a2"]
    said = await engine.app.threads.said("t-7", 0, 99)
    assert [one.seq for one in said] == [1, 2, 7, 8, 9, 10]


async def test_a_fork_begins_with_what_was_said_and_goes_its_own_way(engine: Engine) -> None:
    model = Counting()
    support = Agent("support", model=model.model)
    await say(engine, support, "q1", "q2")
    thread = engine.app.thread("t-7")
    other, whole = await thread.fork(at=2), await thread.fork(id="whole")
    assert (await thread.fork(id="whole")).id == "whole"
    with pytest.raises(ThreadExists):
        await thread.fork(at=2, id="whole")
    with pytest.raises(DefinitionError, match="no message"):
        await thread.fork(at=9)
    assert await (await other.send("else")).result() == "a3"
    assert model.asked[-1] == ["q1", "a1", "else"]
    assert words(await other.history()) == ["q1", "a1", "else", "a3"]
    assert await (await whole.regenerate()).result() == "a4"
    assert words(await whole.history()) == ["q1", "a1", "q2", "a4"]
    assert await history(engine) == ["q1", "a1", "q2", "a2"]
    assert {one.id: one.source for one in await engine.app.threads.list()} == {"t-7": None, other.id: "t-7", "whole": "t-7"}


async def test_a_fork_in_the_middle_of_a_turn_closes_the_call_that_is_open_there(engine: Engine) -> None:
    def told(messages: list[ModelMessage]) -> Sequence[Said]:
        return [text(" | ".join(words(messages)))]

    support = Agent("support", model=scripted_model([call("look", {"order": "o-1"}, id="c1")], told), tools=[look])
    await say(engine, support, "q1")
    other = await engine.app.thread("t-7").fork(at=2)
    said = await (await other.send("q2")).result()
    assert said == "q1 | look | The tool call was interrupted before a result was produced. | q2"


async def test_a_long_conversation_is_summed_up_once_and_the_log_keeps_all(engine: Engine) -> None:
    model = Counting()
    writer = scripted_model(lambda messages: [text(f"They greeted {words(messages)[0].count('greeted')} times.")])
    compact = Compaction(above=10, keep=2, model=writer)
    support = Agent("support", model=model.model, compact=compact)
    await say(engine, support, "q1 " + "x" * 40)
    assert writer.requests == []
    await say(engine, support, "q2")
    run = await engine.start(support.using(thread="t-7"), "q3")
    await run.result()
    assert len(writer.requests) == 1
    told = words(writer.requests[0].messages)
    assert told == [f"User: q1 {'x' * 40}\n\nAssistant: a1"]
    summary = "What was said before, summed up:\n\nThey greeted 0 times."
    assert model.asked[-1] == [summary, "q2", "a2", "q3"]
    assert len(await history(engine)) == 6
    report = await engine.replay(run)
    assert (report.diverges, report.answered) == (False, len(await engine.app.runs.journal(run.id))), report
    assert len(writer.requests) == 1
    await engine.crash()
    plain = Agent("support", model=model.model)
    await say(engine, plain, "q4")
    assert model.asked[-1] == [summary, "q2", "a2", "q3", "a3", "q4"], "whoever comes later begins with it, too"
    await say(engine, support, "q5 " + "y" * 40)
    assert words(writer.requests[1].messages)[0].startswith("User: What was said before")
    assert model.asked[-1][0].endswith("They greeted 1 times.")
    assert len(await history(engine)) == 10


async def test_what_a_fork_sums_up_its_source_is_not_told(engine: Engine) -> None:
    model = Counting()
    writer = scripted_model([text("Short.")])
    plain = Agent("support", model=model.model)
    await say(engine, plain, "q1", "q2")
    other = await engine.app.thread("t-7").fork(id="other")
    compact = Agent("support", model=model.model, compact=Compaction(above=1, keep=2, model=writer))
    run = await engine.start(compact.using(thread="other"), "q3")
    await run.result()
    summed = "What was said before, summed up:\n\nShort."
    assert model.asked[-1] == [summed, "q2", "a2", "q3"]
    await say(engine, plain, "q4")
    assert model.asked[-1] == ["q1", "a1", "q2", "a2", "q4"]
    last = await other.send("q5")
    await last.result()
    assert model.asked[-1] == [summed, "q2", "a2", "q3", "a3", "q5"]
    assert not (await engine.replay(last)).diverges


async def test_a_crash_behind_the_summary_asks_for_no_second_one(engine: Engine) -> None:
    writer = scripted_model([text("Short.")], [text("never")])

    def turn(messages: list[ModelMessage]) -> Sequence[Said]:
        last = words(messages)[-1]
        return [text("a3")] if last == "gave for o-1" else [call("give", {"order": "o-1"}, id="c1")] if last == "q3" else [text("a")]

    model = scripted_model(*[turn] * 9)
    support = Agent("support", model=model, tools=[ai.tool(give, approval=True), look], compact=Compaction(above=1, keep=2, model=writer))
    await say(engine, support, "q1", "q2")
    run = await engine.start(support.using(thread="t-7"), "q3")
    [question] = await engine.waiting(run, kind="approval")
    await engine.crash()
    await engine.app.waitpoints.approve(question.id, by="maria")
    assert await run.result() == "a3"
    assert len(writer.requests) == 1
    assert words(model.requests[-1].messages)[1:] == ["q2", "a", "q3", "give", "gave for o-1"]


async def test_of_images_and_files_a_summary_is_told_what_they_are(engine: Engine) -> None:
    model = scripted_model([call("receipt", {"cents": 3000}, id="c1")], [text("a cat")], [text("fine")])
    writer = scripted_model([text("SUMMARY")])
    support = Agent("support", model=model, tools=[receipt], compact=Compaction(above=1, keep=1, model=writer))
    picture = BinaryContent(b"\x89" * 3000, media_type="image/png")
    await (await engine.start(support.using(thread="t-7"), ["What is it?", ImageUrl("https://example.com/cat.png"), picture])).result()
    await say(engine, support, "and?", "more?")
    assert words(writer.requests[0].messages) == [
        "User: What is it?\n[image-url, https://example.com/cat.png]\n[image/png, 3000 bytes]\n\n"
        'Call of receipt: {"cents":3000}\n\nResult of receipt: [image/png, 3000 bytes]\n\nAssistant: a cat'
    ]


async def test_the_size_of_a_picture_makes_no_conversation_long(engine: Engine) -> None:
    writer = scripted_model([text("SUMMARY")])
    support = Agent("support", model=Counting().model, compact=Compaction(above=1000, keep=1, model=writer))
    await (await engine.start(support.using(thread="t-7"), ["q1", BinaryContent(b"\x89" * 9000, media_type="image/png")])).result()
    await say(engine, support, "q2", "q3")
    assert writer.requests == []


async def test_a_summary_is_asked_for_as_the_agent_asks_its_model(engine: Engine) -> None:
    writer = scripted_model(ValueError("no answer"), [text("SUMMARY")])
    compact = Compaction(above=1, keep=1, model=writer)
    support = Agent("support", model=Counting().model, compact=compact, model_retry=Retry(attempts=2, initial=0), idle_timeout="7s")
    await say(engine, support, "q1", "q2")
    run = await engine.start(support.using(thread="t-7"), "q3")
    assert await run.result() == "a3"
    assert len(writer.requests) == 2


def test_a_summary_is_asked_for_at_the_server_of_the_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    compact = Compaction(model="openai-chat:small")
    support = Agent("support", model="openai-chat:large", base_url="http://localhost:9/v1", compact=compact)
    model = summing_model(support, compact)
    assert (model.model_name, model.base_url) == ("small", "http://localhost:9/v1/")


@pytest.mark.parametrize(("above", "keep"), [(0, 1), (1, 0)])
def test_a_compaction_that_cannot_be_is_refused(above: int, keep: int) -> None:
    with pytest.raises(DefinitionError, match="cannot be"):
        Compaction(above=above, keep=keep)
