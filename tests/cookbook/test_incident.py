"""Alerts of one service go into one run."""

from __future__ import annotations

import pytest

from agentflow.testing import Engine
from cookbook import scripts
from cookbook.incident import Alert, on_alert, reporter, timeline
from tests.cookbook.conftest import Play

SLOW = Alert(id="a-1", service="checkout", text="latency above 2 s")
FINE = Alert(id="a-2", service="checkout", text="back to normal", resolved=True)


@pytest.fixture(autouse=True)
def scripted(play: Play) -> None:
    """No test asks a provider."""
    play(reporter, scripts.incident_reporter())


async def test_an_alert_that_is_delivered_twice_and_around_a_crash_is_one_message_of_one_run(engine: Engine) -> None:
    first = await on_alert(SLOW)
    await engine.waiting(first)
    await engine.crash()
    again = await on_alert(SLOW)
    last = await on_alert(FINE)
    assert {again.id, last.id} == {first.id}
    report = await last.result()
    assert (report.alerts, report.resolved) == (2, True)
    assert report.text == "checkout: latency above 2 s, then back to normal."
    assert await engine.items(last, timeline) == ["1. latency above 2 s", "2. back to normal"]


async def test_half_an_hour_without_an_alert_ends_an_incident_that_nobody_resolved(engine: Engine) -> None:
    run = await on_alert(SLOW)
    await engine.waiting(run)
    await engine.clock.advance("29m")
    assert (await on_alert(SLOW)).id == run.id
    await engine.clock.advance("1m")
    report = await run.result()
    assert (report.alerts, report.resolved) == (1, False)


async def test_another_service_and_the_next_incident_have_runs_of_their_own(engine: Engine) -> None:
    checkout = await on_alert(SLOW)
    search = await on_alert(SLOW.model_copy(update={"service": "search"}))
    assert search.id != checkout.id
    await on_alert(FINE)
    await checkout.result()
    assert (await on_alert(SLOW.model_copy(update={"id": "a-3"}))).id != checkout.id
