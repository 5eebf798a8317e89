"""Slack, told through its API and clicking back: each click is answered, counts once, and only for whom is known."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode

import httpx
import pytest

from agentflow import Agentflow, approve, task
from agentflow.channels import ChannelError, Console, Notice, People, Question, Slack
from agentflow.channels.cards import card
from agentflow.clock import SECOND, SystemClock
from agentflow.errors import ConfigurationError, RetryAfter
from agentflow.retry import Retry, retry_after
from tests.channels.receivers import SECRET, Slackish, signed, slackish
from tests.server.site import Site, site_of

PEOPLE = People({"maria": {"slack": "U1"}, "boss": {"slack": "U2"}, "eve": {"slack": "U3"}}, groups={"cash": ["maria", "boss"]})
ASKED = Question(id="wp_1", kind="approval", title="Refund <o-1>?", body={"cents": 5}, risk="high", run="run_1")
NOTICE = Notice(id="wp_1.1", event="requested", at=1, address="#ops", question=ASKED, link="https://agents.acme.test/approvals#wp_1")


@task(name="slack.refund")
async def refund(order: str, need: int = 1, deny: Literal["veto", "majority"] = "veto") -> str:
    told = ["slack:#ops"]
    decision = await approve(f"Refund {order}?", body={"order": order}, groups=["cash"], need=need, deny=deny, notify=told)
    return f"{decision.approved} by {decision.by}"


@task(name="slack.twice")
async def twice() -> list[bool]:
    return [one.approved for one in await asyncio.gather(*(approve("Again?", notify=["slack:#ops"]) for _ in range(2)))]


@dataclass
class Stage:
    """An app that is served, and its Slack."""

    site: Site
    slack: Slackish

    async def asked(self, **options: Any) -> tuple[str, str, str]:
        """A run that waits: its id, its waitpoint, and the message about that in Slack."""
        run = await self.site.start("slack.refund", order="o-1", **options)
        waitpoint = (await self.site.waiting(run))["id"]
        await self.slack.came.until(len(self.slack.came.all) or 1)
        [ts] = [ts for ts, told in self.slack.shown.items() if waitpoint in json.dumps(told)]
        return run, waitpoint, ts

    async def click(self, payload: dict[str, Any], **signing: Any) -> httpx.Response:
        body = urlencode({"payload": json.dumps(payload)}).encode()
        return await self.post(body, signed(body, **signing))

    async def post(self, body: bytes, headers: dict[str, str], name: str = "slack") -> httpx.Response:
        return await self.site.client.post(f"/v1/channels/slack/{name}", content=body, headers=headers)

    async def told(self, count: int) -> list[str]:
        """What people were told who clicked, once there were that many answers."""
        while len(self.slack.replies) < count:
            await self.slack.came.until(len(self.slack.came.all) + 1)
        return [reply["text"] for reply in self.slack.replies]


@asynccontextmanager
async def staged(folder: Path, redis: str, slack: Slackish) -> AsyncGenerator[Stage]:
    """An app with a Slack, served."""
    channel = Slack("xoxb-1", SECRET, api_url=f"{slack.url}/api", hooks_url=slack.url)
    app = Agentflow([refund, twice], directory=folder, redis=redis, channels=[channel], people=PEOPLE)
    async with app, site_of(app, api_key="k" * 32) as site:
        site.client.headers["authorization"] = f"Bearer {'k' * 32}"
        yield Stage(site, slack)


@pytest.fixture
async def stage(tmp_path: Path, stream_server: str) -> AsyncIterator[Stage]:
    async with slackish() as slack, staged(tmp_path, stream_server, slack) as found:
        yield found


async def test_a_message_shows_what_is_asked_as_text_and_its_buttons_carry_the_id_alone() -> None:
    async with slackish() as here:
        channel = Slack("xoxb-1", SECRET, api_url=f"{here.url}/api", hooks_url=here.url)
        reference = await channel.send(NOTICE)
        [(method, told, headers)] = here.came.all
        assert (method, told["channel"], headers["authorization"]) == ("chat.postMessage", "#ops", "Bearer xoxb-1")
        assert "&lt;o-1&gt;" in told["text"]
        buttons = told["blocks"][-1]["elements"]
        assert [(one["action_id"], one.get("value")) for one in buttons] == [("approve", "wp_1"), ("deny", "wp_1"), ("open", None)]
        assert all(block["text"]["type"] == "plain_text" for block in told["blocks"] if "text" in block)
        ended = replace(ASKED, state="denied", by="ana")
        await channel.send(replace(NOTICE, id="wp_1.2", event="reminded", reference=reference))
        await channel.send(replace(NOTICE, id="wp_1.3", event="resolved", question=ended, reference=reference))
        assert [method for method, _, _ in here.came.all[1:]] == ["chat.update", "chat.postMessage", "chat.update"]
        assert here.came.all[2][1]["thread_ts"] == here.came.all[3][1]["ts"] == str(reference).partition("/")[2]
        last = here.came.all[3][1]
        assert "Denied by ana" in last["text"]
        assert "actions" not in [block["type"] for block in last["blocks"]]


def test_nobody_approves_in_a_message_what_it_does_not_show_all_of() -> None:
    for body, offered in (("x" * 2_500, ["approve", "deny", "open"]), ({"text": "x" * 2_500}, ["deny", "open"])):
        blocks = card(replace(ASKED, body=body), NOTICE).blocks
        assert [one["action_id"] for one in blocks[-1]["elements"]] == offered
        assert ("To approve it, open it." in json.dumps(blocks)) is ("approve" not in offered)
    alone = card(replace(ASKED, about="outcome"), replace(NOTICE, link=None)).blocks
    assert [one["action_id"] for one in alone[-1]["elements"]] == ["deny"]
    assert "To approve it, open your dashboard." in json.dumps(alone)


async def test_a_click_decides_about_what_its_message_tells_of_and_an_equal_question_is_told_after_it(stage: Stage) -> None:
    run = await stage.site.start("slack.twice")
    done: set[str] = set()
    for _ in range(2):
        while not (told := [ts for ts in stage.slack.shown if ts not in done]):
            await stage.slack.came.until(len(stage.slack.came.all) + 1)
        [shown] = [one for one in await stage.site.app.waitpoints.list() if one.held is None]
        await stage.click(stage.slack.pressed(shown.id, told[0]))
        done.add(told[0])
        await stage.told(len(done))
    await stage.site.ended(run)
    assert (await stage.site.client.get(f"/v1/runs/{run}")).json()["output"] == [True, True]


async def test_what_slack_refuses_for_good_is_not_tried_again_and_what_is_too_much_is_tried_later() -> None:
    async with slackish() as here:
        channel = Slack("xoxb-1", SECRET, api_url=f"{here.url}/api", hooks_url=here.url)
        here.errors = ["channel_not_found", "internal_error", "429"]
        with pytest.raises(ChannelError, match="channel_not_found"):
            await channel.send(NOTICE)
        with pytest.raises(Exception, match="internal_error") as passing:
            await channel.send(NOTICE)
        assert Retry(attempts=2).wants(passing.value)
        with pytest.raises(RetryAfter) as later:
            await channel.send(NOTICE)
        assert retry_after(later.value, 0) == 30 * SECOND


async def test_a_click_decides_once_for_whoever_is_known_and_the_message_is_brought_up_to_date(stage: Stage) -> None:
    run, waitpoint, ts = await stage.asked()
    answers = [await stage.click(stage.slack.pressed(waitpoint, ts)) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    await stage.site.ended(run)
    assert (await stage.site.client.get(f"/v1/runs/{run}")).json()["output"] == "True by maria"
    votes = (await stage.site.client.get(f"/v1/waitpoints/{waitpoint}/votes")).json()["votes"]
    assert [(one["actor"], one["choice"], one["counted"]) for one in votes] == [("maria", "approve", True)]
    while not stage.slack.posted("chat.update"):
        await stage.slack.came.until(len(stage.slack.came.all) + 1)
    assert "Approved by maria" in stage.slack.shown[ts]["text"]
    assert sorted(await stage.told(4)) == ["Approved by maria: Refund o-1?"] * 2 + ["Approved. Thank you."] * 2
    found = (await stage.site.client.get(f"/v1/waitpoints/{waitpoint}/deliveries")).json()["deliveries"]
    assert [(one["event"], one["address"]) for one in found] == [("requested", "#ops"), ("resolved", "#ops")]
    assert found[0]["reference"] == f"C024BE91L/{ts}"


async def test_every_click_that_does_not_count_is_answered_to_whom_it_was(stage: Stage) -> None:
    run, waitpoint, ts = await stage.asked()
    for user in ("U9", "U3"):
        assert (await stage.click(stage.slack.pressed(waitpoint, ts, user))).status_code == 200
    assert (await stage.click(stage.slack.pressed("wp_none", ts))).status_code == 200
    unlinked, wrong, unknown = sorted(await stage.told(3), key=lambda text: ("Link" not in text, "eve" not in text))
    assert "Link your account" in unlinked
    assert "eve may not decide" in wrong
    assert "no waitpoint 'wp_none'" in unknown
    assert all(reply["response_type"] == "ephemeral" for reply in stage.slack.replies)
    await stage.site.client.post(f"/v1/waitpoints/{waitpoint}/decisions", json={"approved": False, "reason": "no", "by": "boss"})
    await stage.site.ended(run)
    await stage.click(stage.slack.pressed(waitpoint, ts))
    assert "was answered by boss before" in (await stage.told(5))[3]
    shown = stage.slack.replies[4]
    assert shown["replace_original"] is True
    assert "Denied by boss" in shown["text"]


async def test_a_click_after_a_restart_counts_and_the_message_from_before_is_brought_up_to_date(tmp_path: Path, stream_server: str) -> None:
    async with slackish() as slack:
        async with staged(tmp_path, stream_server, slack) as before:
            run, waitpoint, ts = await before.asked()
        async with staged(tmp_path, stream_server, slack) as after:
            assert (await after.click(after.slack.pressed(waitpoint, ts, action="deny"))).status_code == 200
            await after.site.ended(run)
            assert (await after.site.client.get(f"/v1/runs/{run}")).json()["output"] == "False by maria"
            while not slack.posted("chat.update"):
                await slack.came.until(len(slack.came.all) + 1)
    assert len(slack.posted("chat.postMessage")) == 1
    assert "Denied by maria" in slack.shown[ts]["text"]


async def test_two_people_are_needed_and_each_is_told_how_far_it_is(stage: Stage) -> None:
    run, waitpoint, ts = await stage.asked(need=2)
    await stage.click(stage.slack.pressed(waitpoint, ts))
    await stage.click(stage.slack.pressed(waitpoint, ts, "U2"))
    assert (await stage.told(2))[0] == "Recorded: 1 of 2."
    await stage.site.ended(run)
    assert (await stage.site.client.get(f"/v1/runs/{run}")).json()["output"] == "True by maria, boss"


async def test_who_changes_their_mind_in_slack_and_back_again_counts_as_they_think_now(stage: Stage) -> None:
    run, waitpoint, ts = await stage.asked(need=2, deny="majority")
    for action in ("approve", "deny", "approve", "approve"):
        await stage.click(stage.slack.pressed(waitpoint, ts, action=action))
    await stage.click(stage.slack.pressed(waitpoint, ts, "U2"))
    await stage.site.ended(run)
    assert (await stage.site.client.get(f"/v1/runs/{run}")).json()["output"] == "True by maria, boss"
    votes = (await stage.site.client.get(f"/v1/waitpoints/{waitpoint}/votes")).json()["votes"]
    assert [(one["actor"], one["choice"]) for one in votes] == [
        ("maria", "approve"),
        ("maria", "deny"),
        ("maria", "approve"),
        ("boss", "approve"),
    ]


async def test_people_are_reminded_over_http_once_a_minute_and_not_of_what_is_over(stage: Stage) -> None:
    run, waitpoint, ts = await stage.asked()
    path = f"/v1/waitpoints/{waitpoint}/remind"
    reminded = await stage.site.client.post(path, json={"by": "boss"})
    assert (reminded.status_code, reminded.json()["id"]) == (200, waitpoint)
    again = await stage.site.client.post(path, json={"by": "boss"})
    assert (again.status_code, again.json()["code"]) == (429, "reminded_already")
    while len(stage.slack.posted("chat.postMessage")) < 2:
        await stage.slack.came.until(len(stage.slack.came.all) + 1)
    assert stage.slack.posted("chat.postMessage")[1]["thread_ts"] == ts
    events = await stage.site.events(run)
    assert [one["by"] for one in events["events"] if one["type"] == "approval.reminded"] == ["boss"]
    await stage.click(stage.slack.pressed(waitpoint, ts))
    assert (await stage.site.client.post(path, json={})).status_code == 409
    assert (await stage.site.client.post("/v1/waitpoints/wp_none/remind", json={})).status_code == 404
    told = (await stage.site.client.get(f"/v1/waitpoints/{waitpoint}/deliveries")).json()["deliveries"]
    assert [one["event"] for one in told][:2] == ["requested", "reminded"]


async def test_what_is_not_signed_by_slack_for_this_body_and_now_does_nothing(stage: Stage) -> None:
    _, waitpoint, ts = await stage.asked()
    payload = stage.slack.pressed(waitpoint, ts)
    body = urlencode({"payload": json.dumps(payload)}).encode()
    now = SystemClock().now() // SECOND
    right = signed(body)
    wrong = [
        {},
        signed(body, secret="another"),
        signed(body, when=now - 301),
        signed(body, when=now + 320),
        {**signed(body), "x-slack-request-timestamp": str(now - 1)},
        {**right, "x-slack-signature": right["x-slack-signature"].removeprefix("v0=")},
        {**right, "x-slack-signature": "v0=é"},
        {**right, "x-slack-request-timestamp": "now"},
    ]
    for headers in wrong:
        encoded: Any = {name: value.encode() for name, value in headers.items()}
        answer = await stage.post(body, encoded)
        assert (answer.status_code, answer.json()["code"]) == (401, "signature_invalid"), headers
    assert (await stage.post(body + b"&x=1", right)).status_code == 401
    assert (await stage.post(body, right, name="other")).status_code == 404
    assert (await stage.post(b"x" * 300_000, right)).status_code == 413
    assert (await stage.site.client.get(f"/v1/waitpoints/{waitpoint}/votes")).json() == {"votes": []}
    assert stage.slack.replies == []


ODD: list[Any] = [
    {},
    {"type": "view_submission"},
    {"type": "block_actions"},
    {"type": "block_actions", "actions": []},
    {"type": "block_actions", "actions": [{"action_id": "open", "value": "x"}], "user": {"id": "U1"}},
    {
        "type": "block_actions",
        "actions": [{"action_id": "approve", "value": 7}],
        "user": {"id": "U1"},
        "message": {"ts": "1"},
        "response_url": "",
    },
    [],
    "text",
]


async def test_odd_bodies_that_slack_signed_are_taken_and_do_nothing(stage: Stage) -> None:
    for payload in ODD:
        assert (await stage.click(payload)).status_code == 200, payload
    for body in (b"", b"payload=", b"payload=%7B", b"\xff", b"a=b"):
        assert (await stage.post(body, signed(body))).status_code == 200, body


async def test_an_answer_goes_to_slack_and_nowhere_else(stage: Stage) -> None:
    _, waitpoint, ts = await stage.asked()
    async with slackish() as elsewhere:
        payload = {**stage.slack.pressed(waitpoint, ts, "U9"), "response_url": f"{elsewhere.url}/actions/1"}
        assert (await stage.click(payload)).status_code == 200
        await stage.click(stage.slack.pressed(waitpoint, ts, "U9"))
        await stage.told(1)
        assert elsewhere.came.all == []


def test_slack_without_a_secret_is_an_error_at_once() -> None:
    with pytest.raises(ConfigurationError):
        Slack("xoxb-1", "")


async def test_the_console_says_a_line_and_no_control_character() -> None:
    stream = io.StringIO()
    await Console(stream=stream).send(replace(NOTICE, question=replace(ASKED, title="Pay\x1b[2J\nnow?")))
    assert (
        stream.getvalue()
        == "[console] Needs your decision: Pay\N{REPLACEMENT CHARACTER}[2J now?  wp_1  https://agents.acme.test/approvals#wp_1\n"
    )
