"""The dashboard in Chromium, against a real server. What each case does is in frontend-hooks/dashboard/browser/cases.ts."""

from __future__ import annotations

from urllib.parse import urlsplit

from agentflow.serde import loads
from cookbook.support import follow_up, refund, support
from tests.browser.conftest import Desk, driving
from tests.browser.desk import cashier, publish, ship, wipe


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


async def test_a_question_is_refused_and_a_run_is_stopped_with_a_reason(desk: Desk) -> None:
    async with desk.served() as url, driving("stop", url) as driver:
        await driver.told("start")
        await refund.start("o-81", 20_000)
        await follow_up.start("o-7", wait="1h")
        driver.go_on()


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


async def test_every_page_fits_a_phone_has_names_for_its_controls_and_is_readable_in_light_and_dark(desk: Desk) -> None:
    async with desk.served() as url, driving("everywhere", url) as driver:
        await driver.told("start")
        await refund.start("o-2", 500)
        await support.start("Order o-81 never came, I want my money back.")
        driver.go_on()
