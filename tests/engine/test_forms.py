"""Forms: a person fills in a model; what does not fit is refused where it is given, and the run goes on waiting."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, field_validator

from agentflow import Agent, Approval, ai, ask, task
from agentflow.app.form import problems
from agentflow.engine.worker import WorkerSettings
from agentflow.errors import InvalidAnswer, WaitpointAlreadyAnswered, WaitpointTimedOut
from agentflow.records import RunState, WaitKind, WaitState
from agentflow.serde import json_schema, loads
from agentflow.storage.inbox import Inbox
from agentflow.storage.policy import NotEligible, Voter
from agentflow.testing import Engine, call, scripted_model, text


@pytest.fixture(params=["in memory", "replayed"])
def worker_settings(request: pytest.FixtureRequest) -> WorkerSettings:
    return WorkerSettings(hot_limit=1_000 if request.param == "in memory" else 0, hot_window=365 * 86_400_000_000)


class Parcel(BaseModel):
    grams: int = Field(gt=0, le=30_000)
    label: str | None = Field(None, max_length=10)


class Shipping(BaseModel):
    carrier: Literal["dhl", "ups"]
    insured: bool = True
    parcels: list[Parcel] = Field(default_factory=list[Parcel], max_length=2)
    day: date | None = None

    model_config = {"extra": "forbid"}

    @field_validator("day")
    @classmethod
    def on_a_weekday(cls, day: date | None) -> date | None:
        if day is not None and day.weekday() > 4:
            raise ValueError("nobody works then")
        return day


@task
async def ship() -> str:
    choice = await ask(Shipping, title="How to ship?", assign="user:maria", expires="2d")
    return f"{choice.carrier} {choice.insured} {[one.grams for one in choice.parcels]} {choice.day}"


@task
async def ship_by_default() -> str:
    choice = await ask(Shipping, default=Shipping(carrier="ups"), expires="2d")
    return choice.carrier


@task
async def how_many() -> int:
    return await ask(int, title="How many?") + 1


async def test_an_answer_that_fits_comes_back_as_the_model(engine: Engine) -> None:
    run = await engine.start(ship)
    [question] = await engine.waiting(run)
    assert question.record.kind is WaitKind.INPUT
    assert (loads(question.record.subject)["title"], loads(question.record.subject)["users"]) == ("How to ship?", ["maria"])
    await engine.crash()
    await question.answer({"carrier": "dhl", "parcels": [{"grams": 5}], "day": "2027-01-04"}, by="maria")
    assert await run.result() == "dhl True [5] 2027-01-04"


async def test_only_who_is_assigned_may_answer_and_whoever_it_is_given_to_finds_it(engine: Engine) -> None:
    async def seen_by(*names: str) -> list[bool]:
        pages = [await engine.app.waitpoints.inbox(Inbox(run_id=run.id), Voter(name, frozenset())) for name in names]
        return [bool(page.waitpoints) for page in pages]

    run = await engine.start(ship)
    [question] = await engine.waiting(run)
    assert await seen_by("maria", "user:maria", "bob") == [True, True, False]
    with pytest.raises(NotEligible):
        await question.answer({"carrier": "ups"}, by="bob")
    await engine.app.waitpoints.reassign(question.id, by="boss", users=["bob"])
    assert await seen_by("maria", "bob") == [False, True]
    await question.answer({"carrier": "ups"}, by="bob")
    assert (await run.result()).startswith("ups")


async def test_a_form_may_be_for_a_group_and_whoever_is_brought_in_finds_it_too(engine: Engine) -> None:
    @task(name="forms.for_desk")
    async def for_desk(assign: str) -> int:
        return await ask(int, assign=assign, escalate=[("1h", "group:ops")])

    run = await engine.start(for_desk, "group:desk")
    [question] = await engine.waiting(run)
    desk, ops = Voter("maria", frozenset({"desk"})), Voter("otto", frozenset({"ops"}))
    with pytest.raises(NotEligible):
        await engine.app.waitpoints.answer(question.id, 1, by=ops)
    await engine.clock.advance("1h")
    assert [len((await engine.app.waitpoints.inbox(Inbox(run_id=run.id), one)).waitpoints) for one in (desk, ops)] == [1, 1]
    await engine.app.waitpoints.answer(question.id, 1, by=ops)
    assert await run.result() == 1
    nobody = await engine.app.runs.ended((await engine.start(for_desk, "group:")).id)
    assert loads(nobody.error or "{}")["type"] == "DefinitionError"


async def test_a_form_may_be_a_single_value(engine: Engine) -> None:
    run = await engine.start(how_many)
    [question] = await engine.waiting(run)
    with pytest.raises(InvalidAnswer, match="the answer: Should be of type integer"):
        await question.answer("3", by="maria")
    await question.answer(3, by="maria")
    assert await run.result() == 4


WRONG: list[tuple[Any, str]] = [
    (None, ""),
    ({}, "carrier"),
    ({"carrier": "post"}, "carrier"),
    ({"carrier": "dhl", "insured": 1}, "insured"),
    ({"carrier": "dhl", "insurd": True}, "insurd"),
    ({"carrier": "dhl", "parcels": [{"grams": 5}, {"grams": 0}]}, "parcels.1.grams"),
    ({"carrier": "dhl", "parcels": [{"grams": 5, "label": "x" * 11}]}, "parcels.0.label"),
    ({"carrier": "dhl", "parcels": [{"grams": 1}] * 3}, "parcels"),
    ({"carrier": "dhl", "day": "tomorrow"}, "day"),
    ({"answer": {"carrier": "dhl"}}, "carrier"),
]


@pytest.mark.parametrize(("wrong", "place"), WRONG, ids=str)
async def test_an_answer_that_does_not_fit_is_refused_with_its_place_and_the_run_waits(engine: Engine, wrong: Any, place: str) -> None:
    """T38"""
    run = await engine.start(ship)
    [question] = await engine.waiting(run)
    with pytest.raises(InvalidAnswer) as refused:
        await question.answer(wrong, by="maria")
    assert refused.value.http_status == 422
    assert place in [one["at"] for one in refused.value.details["problems"]]
    assert (await engine.get(run)).state is RunState.WAITING
    assert (await engine.app.waitpoints.get(question.id)).answer is None
    await question.answer({"carrier": "ups"}, by="maria")
    assert (await run.result()).startswith("ups")


async def test_what_only_the_models_validators_refuse_is_asked_for_again_saying_why(engine: Engine) -> None:
    run = await engine.start(ship)
    [question] = await engine.waiting(run)
    await question.answer({"carrier": "ups", "day": "2027-01-03"}, by="maria")
    await engine.settle()
    [again] = await engine.waiting(run)
    assert again.id != question.id
    assert "nobody works then" in loads(again.record.subject)["problem"]
    await engine.crash()
    await again.answer({"carrier": "ups", "day": "2027-01-04"}, by="maria")
    assert (await run.result()).endswith("2027-01-04")


async def test_when_nobody_answers_the_default_counts_and_a_late_answer_is_told_so(engine: Engine) -> None:
    run = await engine.start(ship_by_default)
    [question] = await engine.waiting(run)
    assert loads(question.record.subject)["default"]["carrier"] == "ups"
    await engine.clock.advance("2d")
    assert await run.result() == "ups"
    with pytest.raises(WaitpointTimedOut) as late:
        await question.answer({"carrier": "dhl"}, by="maria")
    assert late.value.http_status == 410


async def test_without_a_default_silence_is_an_error_of_the_code_that_asked(engine: Engine) -> None:
    @task
    async def patient() -> str:
        try:
            await ask(Shipping, expires="2d")
        except WaitpointTimedOut as error:
            return error.code
        return ""

    run = await engine.start(patient)
    await engine.waiting(run)
    await engine.clock.advance("2d")
    assert await run.result() == "waitpoint_timed_out"


async def test_the_second_answer_to_a_form_is_shown_the_first(engine: Engine) -> None:
    """T39"""
    run = await engine.start(ship)
    [question] = await engine.waiting(run)
    await question.answer({"carrier": "ups"}, by="maria")
    with pytest.raises(WaitpointAlreadyAnswered) as refused:
        await question.answer({"carrier": "dhl"}, by="peter")
    assert refused.value.details["answer"] == {"carrier": "ups"}
    assert (await engine.app.waitpoints.get(question.id)).state is WaitState.ANSWERED
    assert (await run.result()).startswith("ups")


async def test_edits_that_do_not_fit_the_tool_are_refused_to_the_person_and_the_model_never_hears_of_them(engine: Engine) -> None:
    @task
    async def send_money(cents: int, note: str = "") -> str:
        return f"sent {cents}"

    model = scripted_model([call("send_money", {"cents": 190}, id="c1")], [text("done")])
    teller = Agent("form-teller", model=model, tools=[ai.tool(send_money, approval=Approval())])
    run = await engine.start(teller, "send")
    [question] = await engine.waiting(run)
    for wrong in ({"cents": "many"}, {"note": "x"}, {"cents": 95, "to": "me"}):
        with pytest.raises(InvalidAnswer, match="does not fit") as refused:
            await question.approve(by="maria", edits=wrong)
        assert refused.value.http_status == 422
    assert engine.calls(send_money) == 0
    await question.approve(by="maria", edits={"cents": 95})
    assert await run.result() == "done"
    assert engine.calls(send_money) == 1


class Tree(BaseModel):
    name: str
    children: list[Tree] = []


@pytest.mark.parametrize(
    ("annotation", "right", "wrong"),
    [
        (Tree, {"name": "a", "children": [{"name": "b"}]}, {"name": "a", "children": [{"nam": "b"}]}),
        (dict[str, int], {"a": 1}, {"a": "1"}),
        (tuple[int, str], [1, "a"], ["a", 1]),
        (set[int], [1, 2], [1, 1]),
        (int | None, None, "x"),
        (float, 1, True),
        (int, 1.0, 1.5),
        (Literal[1, True], True, 2),
        (list[Parcel | str], ["x", {"grams": 1}], [{"grams": -1}]),
    ],
    ids=str,
)
def test_a_schema_tells_what_fits_from_what_does_not(annotation: Any, right: Any, wrong: Any) -> None:
    schema = json_schema(annotation)
    assert problems(right, schema) == []
    assert problems(wrong, schema) != []
