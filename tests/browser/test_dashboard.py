"""The dashboard in Chromium, against a real server. What each case does is in frontend-hooks/dashboard/browser/cases.ts."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

import pytest

from agentflow.errors import RunCancelled
from agentflow.handle import RunHandle
from agentflow.records import WaitpointRecord
from agentflow.serde import loads
from agentflow.storage.policy import Voter
from cookbook.support import follow_up, refund, support
from tests.browser.conftest import Desk, driving
from tests.browser.desk import cashier, clerk, publish, reply, ship, wipe


async def test_a_task_is_started_asks_is_answered_in_place_and_is_done(desk: Desk) -> None:
    async with desk.served() as url, driving("startToDone", url):
        pass


async def test_an_agent_is_watched_and_a_person_changes_what_it_asks_for_by_keys_alone(desk: Desk) -> None:
    async with desk.served() as url, driving("agentToDone", url) as driver:
        await driver.told("start")
        await support.start("Order o-81 never came, I want my money back.")
        driver.go_on()


async def asked(desk: Desk, title: str) -> str:
    """The id of the open question with that title."""
    return next(one.id for one in await desk.app.waitpoints.list(kind="approval") if loads(one.subject)["title"] == title)


async def test_an_inbox_is_worked_through_by_keys_and_tells_what_others_decide(desk: Desk) -> None:
    async with desk.served() as url, driving("inbox", url) as driver:
        await driver.told("start")
        await refund.start("o-81", 20_000)
        await publish.start("Publish The tides?")
        await wipe.start("orders")
        driver.go_on()
        await driver.told("ana")
        await desk.app.waitpoints.deny(await asked(desk, "Refund 200.00 to Maria?"), by="Ana", reason="It was paid before.")
        driver.go_on()
        await driver.told("bo")
        await desk.app.waitpoints.approve(await asked(desk, "Publish The tides?"), by="bo")
        driver.go_on()


async def test_a_form_is_filled_in_wrong_first_and_then_right(desk: Desk) -> None:
    async with desk.served() as url, driving("form", url) as driver:
        await driver.told("start")
        await ship.start("o-81")
        driver.go_on()


async def test_what_is_changed_is_seen_before_it_is_sent_on_a_phone(desk: Desk) -> None:
    async with desk.served() as url, driving("pocket", url) as driver:
        await driver.told("start")
        await cashier.start("Pay o-81 back.")
        driver.go_on()


async def link(desk: Desk, title: str) -> str:
    """The path of a link with which Otto decides."""
    while (id := next((one.id for one in await desk.app.waitpoints.list() if loads(one.subject).get("title") == title), None)) is None:
        await asyncio.sleep(0)
    return (await desk.app.waitpoints.link(id, actor=Voter("otto", frozenset({"finance"})))).path


async def test_a_person_decides_by_a_link_on_a_phone_that_runs_no_script(desk: Desk) -> None:
    async with desk.served() as url, driving("link", url) as driver:
        await driver.told("start")
        paying = await cashier.start("Pay o-81 back.")
        shipping = await ship.start("o-81")
        driver.go_on(f"{await link(desk, 'Run transfer?')} {await link(desk, 'How should order o-81 go out?')}")
    assert await paying.result() == "The money is sent."
    assert await shipping.result() == "ups 2.5 2027-01-31 1  no-0150 Oslo"
    [(tool, said)] = [(loads(one.subject)["tool"], loads(one.answer or "")) for one in await answered(desk)]
    assert (tool, said["edits"]["cents"], said["reason"]) == ("transfer", 2500, "Half of it, as agreed.")


async def answered(desk: Desk) -> list[WaitpointRecord]:
    """The approvals that have been answered."""
    return await desk.app.waitpoints.list(kind="approval", state="answered")


async def test_a_yes_stands_until_it_is_taken_back_and_a_question_is_given_to_others_and_taken_back(desk: Desk) -> None:
    async with desk.served() as url, driving("granted", url) as driver:
        await driver.told("first")
        first = await cashier.start("Pay o-81 back.")
        driver.go_on()
        await driver.told("second")
        assert await (await cashier.start("Pay o-81 back.")).result() == "The money is sent."
        driver.go_on()
        await driver.told("third")
        third = await cashier.start("Pay o-81 back.")
        driver.go_on()
    assert (await first.result(), await third.result()) == ("The money is sent.", "The money is sent.")
    gone = await desk.app.waitpoints.list(kind="approval", state="cancelled")
    assert [(one.run_id, one.answered_by) for one in gone] == [(third.id, "maria")]


async def test_a_question_is_refused_and_a_run_is_stopped_with_a_reason(desk: Desk) -> None:
    async with desk.served() as url, driving("stop", url) as driver:
        await driver.told("start")
        await refund.start("o-81", 20_000)
        await follow_up.start("o-7", wait="1h")
        driver.go_on()
        await driver.told("together")
        small = await clerk.start("Pay both.")
        driver.go_on()
        await driver.told("grave")
        large = await cashier.start("Pay o-81 back.")
        driver.go_on()
    assert await small.result() == "Both are sent."
    with pytest.raises(RunCancelled, match="Wrong account"):
        await large.result()


async def test_a_reload_in_mid_sentence_shows_what_was_said_once_and_hears_the_rest(desk: Desk) -> None:
    async with desk.served() as url, driving("reload", url) as driver:
        await driver.told("start")
        await desk.speaker.start("Tell me.")
        driver.go_on()
        await driver.told("go on")
        desk.prompter.told.set()
        driver.go_on()


async def test_seven_tabs_follow_one_run(desk: Desk) -> None:
    async with desk.served() as url, driving("tabs", url) as driver:
        await driver.told("start")
        await desk.speaker.start("Tell me.")
        driver.go_on()
        await driver.told("go on")
        desk.prompter.told.set()
        driver.go_on()


async def test_a_conversation_is_there_after_a_reload(desk: Desk) -> None:
    async with desk.served() as url, driving("talk", url):
        pass


async def test_the_key_is_asked_for_once_and_kept_in_the_tab_alone(desk: Desk) -> None:
    async with desk.served(api_key="right") as url, driving("key", url):
        pass


async def test_queues_are_paused_and_workers_drained(desk: Desk) -> None:
    async with desk.served() as url, driving("fleet", url):
        pass


async def test_a_server_that_is_away_is_missed_and_found_again(desk: Desk) -> None:
    await refund.start("o-1", 500)
    async with desk.served() as url:
        port = urlsplit(url).port or 0
        away = driving("away", url)
        driver = await away.__aenter__()
        await driver.told("leave")
    driver.go_on()
    await driver.told("come back")
    async with desk.served(port):
        driver.go_on()
        await away.__aexit__(None, None, None)


async def asleep(run: RunHandle[Any]) -> None:
    """Return once the run waits for somebody."""
    while (await run.get()).state != "waiting":
        await asyncio.sleep(0)


async def test_a_prompt_is_edited_wrong_first_and_then_right_saved_with_a_note_and_released(desk: Desk) -> None:
    async with desk.served() as url, driving("promptToRelease", url) as driver:
        await driver.told("start")
        await asleep(await reply.start("Maria"))
        driver.go_on()
    [newest, _] = await desk.app.prompts.versions("desk/letter")
    assert newest.note == "It is kinder."
    last = (await desk.app.prompts.events("desk/letter"))[-1]
    assert (last.type, last.actor, last.reason) == ("released", "maria", "Customers like it.")


async def test_a_release_that_came_second_looks_again_and_is_rolled_out_and_back(desk: Desk) -> None:
    async with desk.served() as url, driving("promptMoved", url) as driver:
        await driver.told("start")
        await asleep(await reply.start("Maria"))
        driver.go_on()
        await driver.told("bo")
        await desk.app.prompts.release("desk/letter", to=1, actor="bo", reason="As it was.")
        driver.go_on()


async def test_a_release_waits_for_two_people_where_a_policy_says_so(desk: Desk) -> None:
    prompts = desk.app.prompts
    await prompts.policies.set("desk/letter", actor="boss", people=2, users=["ana", "bo"])
    async with desk.served() as url, driving("promptAsked", url) as driver:
        await driver.told("agree")
        [asked] = await prompts.requests.of("desk/letter")
        for person in ("ana", "bo"):
            await desk.app.waitpoints.approve(asked.waitpoint or "", by=person)
        while (await prompts.requests.get(asked.id)).state == "asked":
            await asyncio.sleep(0)
        driver.go_on()


async def test_every_page_fits_a_phone_has_names_for_its_controls_and_is_readable_in_light_and_dark(desk: Desk) -> None:
    async with desk.served() as url, driving("everywhere", url) as driver:
        await driver.told("start")
        await refund.start("o-2", 500)
        await support.start("Order o-81 never came, I want my money back.")
        driver.go_on()
