"""Callbacks from the side of the run: made once, waited for later, across crashes."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from agentflow import callback, context, gather, race, sleep, step, task
from agentflow.app.calling_back import CallbackCall, CallbackNotFound
from agentflow.engine.worker import WorkerSettings
from agentflow.errors import ConfigurationError, WaitpointTimedOut
from agentflow.records import RunState
from agentflow.serde import digest, dumps
from agentflow.testing import Engine


@pytest.fixture(params=["in memory", "replayed"])
def worker_settings(request: pytest.FixtureRequest) -> WorkerSettings:
    return WorkerSettings(hot_limit=1_000 if request.param == "in memory" else 0, hot_window=365 * 86_400_000_000)


PATHS: dict[str, list[str]] = {}
"""The addresses that the code of each run was given, one after the other."""


class JobDone(BaseModel):
    job: str


@step
async def submit_job(webhook: str) -> str:
    return "submitted"


@task
async def farm_out() -> str:
    hook = await callback(JobDone, expires="6h")
    PATHS.setdefault(context().run_id, []).append(hook.path)
    await submit_job(hook.path)
    await sleep("1h")
    return (await hook.result()).job


@task
async def farm_two() -> list[str]:
    first, second = await callback(JobDone), await callback(JobDone)
    PATHS[context().run_id] = [first.path, second.path]
    done = await gather(first.result(), second.result())
    return [one.job for one in done]


@task
async def farm_or_time() -> str:
    hook = await callback(JobDone)
    PATHS[context().run_id] = [hook.path]
    first = await race(hook.result(), sleep("1h"))
    await sleep("1d")
    return "time" if first is None else first.job


async def send(engine: Engine, path: str, job: str) -> None:
    _, _, _, id, secret = path.split("/")
    value = {"job": job}
    await engine.app.waitpoints.call_back(id, secret, CallbackCall(dumps(value).encode(), value, {}))


async def test_what_comes_before_the_code_waits_is_there_when_it_does(engine: Engine) -> None:
    """T28"""
    run = await engine.start(farm_out)
    await engine.waiting(run, 2)
    await send(engine, PATHS[run.id][0], "j-1")
    await engine.clock.advance("1h")
    assert await run.result() == "j-1"
    assert engine.calls(submit_job) == 1


async def test_a_replay_gives_out_another_secret_and_the_first_one_stays_good(engine: Engine) -> None:
    run = await engine.start(farm_out)
    await engine.waiting(run, 2)
    await engine.crash()
    await engine.clock.advance("1h")
    await engine.until(run, RunState.WAITING)
    first, *later = PATHS[run.id]
    assert later
    assert first not in later
    assert {one.rpartition("/")[0] for one in later} == {first.rpartition("/")[0]}
    with pytest.raises(CallbackNotFound):
        await send(engine, f"{first}x", "j-1")
    await send(engine, first, "j-1")
    assert await run.result() == "j-1"
    assert engine.calls(submit_job) == 1


async def test_two_callbacks_each_bring_their_own(engine: Engine) -> None:
    """T30, T33"""
    run = await engine.start(farm_two)
    await engine.waiting(run, 2)
    first, second = PATHS[run.id]
    await send(engine, second, "b")
    await engine.settle()
    await engine.crash()
    await send(engine, first, "a")
    assert await run.result() == ["a", "b"]


async def test_a_callback_that_lost_a_race_is_closed(engine: Engine) -> None:
    run = await engine.start(farm_or_time)
    await engine.waiting(run, 2)
    await engine.clock.advance("1h")
    await engine.until(run, RunState.WAITING)
    with pytest.raises(WaitpointTimedOut, match="This callback has ended"):
        await send(engine, PATHS[run.id][0], "late")
    await engine.clock.advance("1d")
    assert await run.result() == "time"


async def test_without_an_address_of_the_server_the_url_says_what_to_set(engine: Engine) -> None:
    @task
    async def lost_hook() -> str:
        hook = await callback(JobDone)
        try:
            return hook.url
        except ConfigurationError as error:
            return error.hint

    run = await engine.start(lost_hook)
    assert "AGENTFLOW_PUBLIC_URL" in await run.result()


def test_a_secret_in_an_argument_is_none_of_what_a_step_was_asked() -> None:
    one, other = ([f"https://x/v1/callbacks/wp_{id}/{secret}", 1] for id, secret in (("0a", "s-1_A"), ("0a", "t")))
    assert digest(one) == digest(other)
    assert digest(one) != digest(["https://x/v1/callbacks/wp_0b/s-1_A", 1])
