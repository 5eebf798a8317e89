"""Arguments that are changed in Slack: a form of the tool's schema, what is wrong at its fields, and a decision that counts once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from agentflow import Agent, Agentflow, Approval, ai, step
from agentflow.app.modal import form
from agentflow.channels import Slack
from agentflow.channels.cards import card
from agentflow.policy import Policy
from agentflow.serde import dumps, loads
from agentflow.testing import call, scripted_model, text
from tests.channels.receivers import SECRET, signed, slackish, submitted
from tests.channels.test_slack import ASKED, NOTICE, PEOPLE, Stage
from tests.server.site import site_of


class Address(BaseModel):
    """Where it goes."""

    street: Annotated[str, Field(min_length=3)]
    city: str
    urgent: bool = False


@step(name="slack-form-send")
async def send(
    account: str,
    cents: Annotated[int, Field(gt=0, le=10_000, description="Of <NOK>")],
    to: Address,
    currency: Literal["NOK", "EUR"] = "NOK",
    extras: tuple[Literal["card", "gift wrap"], ...] = (),
    on: date | None = None,
    more: dict[str, int] | None = None,
) -> str:
    """Send money."""
    return f"{account} {cents} {to.street} {currency} {to.urgent} {','.join(extras)} {on} {more}"


@pytest.fixture
async def stage(tmp_path: Path, stream_server: str) -> AsyncIterator[Stage]:
    given = {"account": "NO93", "cents": 4_900, "to": {"street": "Storgata 1", "city": "Oslo"}, "extras": ["card"], "more": {"a": 1}}
    approval = Approval(groups=["cash"], notify=["slack:#ops"])
    model = scripted_model([call("slack-form-send", given, id="c1")], [text("sent")])
    clerk = Agent("slack-form-clerk", model=model, tools=[ai.tool(send, approval=approval)])
    async with slackish() as slack:
        channel = Slack("xoxb-1", SECRET, api_url=f"{slack.url}/api", hooks_url=slack.url)
        rules = Policy().deny("slack-form-send", args={"account": "NO13"})
        async with (
            Agentflow([clerk], directory=tmp_path, redis=stream_server, channels=[channel], people=PEOPLE, policy=rules) as app,
            site_of(app, api_key="k" * 32) as site,
        ):
            site.client.headers["authorization"] = f"Bearer {'k' * 32}"
            yield Stage(site, slack)


async def asked(stage: Stage) -> tuple[str, str, str]:
    """A call that waits: its run, its waitpoint, and the message about that in Slack."""
    run = await stage.site.start("slack-form-clerk", prompt="pay")
    waitpoint = (await stage.site.waiting(run))["id"]
    [(_, told, _)] = await stage.slack.came.until(1)
    assert [one["action_id"] for one in told["blocks"][-1]["elements"]] == ["approve", "edit", "deny"]
    return run, waitpoint, next(iter(stage.slack.shown))


async def opened(stage: Stage, waitpoint: str, ts: str, user: str = "U1") -> dict[str, Any]:
    """The form that a click opens."""
    assert (await stage.click(stage.slack.pressed(waitpoint, ts, user, "edit"))).status_code == 200
    return stage.slack.posted("views.open")[-1]["view"]


async def reacted(stage: Stage, view: dict[str, Any], user: str = "U1", **filled: Any) -> dict[str, Any]:
    """What Slack is told to do with a form that somebody sends."""
    answer = await stage.click(submitted(view, user, **filled))
    assert answer.status_code == 200
    return answer.json()


def words(reaction: dict[str, Any]) -> str:
    """What stands in place of the form."""
    assert reaction["response_action"] == "update"
    return reaction["view"]["blocks"][0]["text"]["text"]


def fields_of(view: dict[str, Any]) -> dict[str, Any]:
    """The fields of a form, by label, which are as the schema says."""
    fields = {block["label"]["text"]: block for block in view["blocks"] if block["type"] == "input"}
    kinds = {name: block["element"]["type"] for name, block in fields.items()}
    assert kinds == {
        "account": "plain_text_input",
        "cents": "plain_text_input",
        "to / street": "plain_text_input",
        "to / city": "plain_text_input",
        "to / urgent": "checkboxes",
        "currency": "static_select",
        "extras": "multi_static_select",
        "on": "datepicker",
        "more": "plain_text_input",
        "Why?": "plain_text_input",
    }
    assert fields["cents"]["hint"] == {"type": "plain_text", "text": "Of <NOK>", "emoji": False}
    assert (fields["account"]["optional"], fields["currency"]["optional"]) == (False, True)
    assert "NO93" not in view["private_metadata"]
    return fields


async def test_arguments_are_changed_in_a_form_of_the_schema_wrong_first_then_right_and_count_once(stage: Stage) -> None:
    run, waitpoint, ts = await asked(stage)
    view = await opened(stage, waitpoint, ts)
    fields = fields_of(view)
    wrong = await reacted(stage, view, cents="20000", more="{", **{"to / street": "x"})
    assert wrong == {"response_action": "errors", "errors": {fields["more"]["block_id"]: "This is not JSON"}}
    wrong = await reacted(stage, view, cents="20000", more='{"a": "b"}', **{"to / street": "x"})
    assert wrong["response_action"] == "errors"
    told = {name: wrong["errors"].get(block["block_id"]) for name, block in fields.items()}
    assert told["cents"] == "Should be at most 10000"
    assert told["to / street"] == "Should have at least 3 characters"
    assert told["more"] == "a: Should be of type integer"
    forbidden = await reacted(stage, view, account="NO13")
    assert "The rules forbid the call" in forbidden["errors"][fields["account"]["block_id"]]
    assert (await stage.site.client.get(f"/v1/waitpoints/{waitpoint}")).json()["state"] == "pending"
    right: dict[str, Any] = {
        "cents": "2500",
        "to / urgent": ["yes"],
        "currency": "EUR",
        "extras": ["card", "gift wrap"],
        "on": "2027-01-31",
        "Why": "Half.",
    }
    done = words(await reacted(stage, view, **right))
    assert done.splitlines()[:2] == ["Approved. Thank you.", "cents: 4900 → 2500"]
    assert words(await reacted(stage, view, **right)) == done
    await stage.site.ended(run)
    votes = (await stage.site.client.get(f"/v1/waitpoints/{waitpoint}/votes")).json()["votes"]
    assert [(one["actor"], one["choice"], one["counted"], one["said"]["reason"]) for one in votes] == [("maria", "approve", True, "Half.")]
    made = [one for one in (await stage.site.events(run))["events"] if one["type"] == "tool.output"]
    assert "NO93 2500 Storgata 1 EUR True card,gift wrap 2027-01-31 {'a': 1}" in json.dumps(made)
    while not stage.slack.posted("chat.update"):
        await stage.slack.came.until(len(stage.slack.came.all) + 1)
    assert "Approved by maria" in stage.slack.shown[ts]["text"]


async def test_a_form_counts_for_whom_is_known_and_may_and_every_other_is_told_why_not(stage: Stage) -> None:
    run, waitpoint, ts = await asked(stage)
    view = await opened(stage, waitpoint, ts)
    await stage.click(stage.slack.pressed(waitpoint, ts, "U9", "edit"))
    late = stage.slack.pressed(waitpoint, ts, action="edit")
    stage.slack.triggers.clear()
    await stage.click(late)
    unlinked, expired = await stage.told(2)
    assert "Link your account" in unlinked
    assert "expired_trigger_id" in expired
    assert "Link your account" in words(await reacted(stage, view, "U9", cents="1"))
    assert "eve may not decide" in words(await reacted(stage, view, "U3", cents="1"))
    stale = {**view, "private_metadata": dumps({"waitpoint": waitpoint, "seen": "sha256:other"})}
    assert "It does not count" in words(await reacted(stage, stale, cents="1"))
    elsewhere = {**view, "private_metadata": dumps({"waitpoint": "wp_none", "seen": None})}
    assert "no waitpoint 'wp_none'" in words(await reacted(stage, elsewhere, cents="1"))
    body = b"payload=" + json.dumps(submitted(view)).encode()
    assert (await stage.post(body, signed(body, secret="another"))).status_code == 401
    theirs: dict[str, Any] = {"type": "view_submission", "view": {"callback_id": "theirs"}}
    odd_ones: list[dict[str, Any]] = [theirs, {**theirs, "view": []}, {**submitted(view), "team": None, "user": {}}]
    for odd in odd_ones:
        assert (await stage.click(odd)).json() == {}, odd
    assert words(await reacted(stage, view, "U2", Why="As it is.")) == "Approved. Thank you."
    await stage.site.ended(run)
    assert "was answered by boss before" in words(await reacted(stage, view, cents="1"))
    await stage.click(stage.slack.pressed(waitpoint, ts, action="edit"))
    assert "was answered by boss before" in (await stage.told(4))[2]
    assert "Approved by boss" in stage.slack.replies[3]["text"]
    await assert_too_large(stage, waitpoint)


async def assert_too_large(stage: Stage, waitpoint: str) -> None:
    """What Slack cannot show all of is not half shown."""
    one = await stage.site.app.waitpoints.get(waitpoint)
    many: dict[str, Any] = {"type": "object", "properties": {f"f{number}": {"type": "string"} for number in range(91)}, "required": []}
    wide: dict[str, Any] = {"type": "object", "properties": {"account": {"enum": ["x" * 76]}}}
    for schema, account in ((many, "x"), (wide, "x"), (loads(one.schema or ""), "x" * 3_001)):
        subject = {**loads(one.subject), "body": {"account": account}}
        assert form(replace(one, schema=dumps(schema), subject=dumps(subject))) is None
    subject = {**loads(one.subject), "body": {**loads(one.subject)["body"], "on": "soon"}}
    shown = form(replace(one, subject=dumps(subject))) or {}
    assert {"action_id": "value", "type": "plain_text_input", "multiline": False, "max_length": 3_000, "initial_value": "soon"} in [
        block.get("element") for block in shown["blocks"]
    ]


def test_only_what_may_be_changed_and_is_shown_whole_is_offered_to_be_changed() -> None:
    for question, offered in (
        (replace(ASKED, can_edit=True), True),
        (ASKED, False),
        (replace(ASKED, can_edit=True, body={"text": "x" * 2_500}), False),
        (replace(ASKED, can_edit=True, state="denied"), False),
    ):
        actions = [one["action_id"] for block in card(question, NOTICE).blocks if block["type"] == "actions" for one in block["elements"]]
        assert ("edit" in actions) is offered
