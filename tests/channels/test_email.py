"""E-mail through a real mail server: one mail and one link for each person, and nothing that a title could smuggle in."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from email.message import EmailMessage
from html import unescape
from pathlib import Path

import pytest

from agentflow import Agentflow, approve, task
from agentflow.channels import ChannelError, Email, Notice, People, Question
from agentflow.errors import ConfigurationError
from tests.channels.receivers import mailbox
from tests.server.reviewer import Browser
from tests.server.site import Site, site_of

ASKED = Question(id="wp_1", kind="approval", title="Refund o-1?", body={"cents": 5}, risk="high", run="run_1", tool="refund")
NOTICE = Notice(
    id="wp_1.1",
    event="requested",
    at=1,
    address="maria@acme.test",
    question=ASKED,
    person="maria",
    link="https://agents.acme.test/w/secret?a=1&b=2",
)


def part(mail: EmailMessage, subtype: str) -> str:
    found = mail.get_body((subtype,))
    assert found is not None
    return found.get_content()


async def test_a_mail_says_what_is_asked_as_text_and_as_html_with_the_link_of_whom_it_is_for() -> None:
    async with mailbox() as here:
        channel = Email(smtp=here.url, from_="Agents <agents@acme.test>")
        reference = await channel.send(NOTICE)
        await channel.send(replace(NOTICE, id="wp_1.2", event="reminded", reference=reference))
        [(to, mail), (_, later)] = await here.came.until(2)
    assert to == ["maria@acme.test"]
    assert (mail["Subject"], mail["From"], mail["To"]) == (
        "Needs your decision: Refund o-1?",
        "Agents <agents@acme.test>",
        "maria@acme.test",
    )
    assert mail["Auto-Submitted"] == "auto-generated"
    assert "https://agents.acme.test/w/secret?a=1&b=2" in part(mail, "plain")
    assert '"cents": 5' in part(mail, "plain")
    assert 'href="https://agents.acme.test/w/secret?a=1&amp;b=2"' in part(mail, "html")
    assert "for maria alone" in part(mail, "html")
    assert (mail["Message-ID"], later["In-Reply-To"]) == (reference, reference)
    assert later["Subject"] == "Still waits for a decision: Refund o-1?"


@task(name="email.publish")
async def publish() -> str:
    decision = await approve("Publish?", users=["maria"], groups=["editors"], notify=["email"])
    return f"{decision.approved} by {decision.by}: {decision.reason}"


@task(name="email.refund")
async def refund() -> str:
    asked = await approve("Refund?", groups=["finance"], notify=["email:user:eve", "email:x@else.test", "email:user:maria"])
    return f"{asked.approved} by {asked.by}"


@asynccontextmanager
async def posted(folder: Path, redis: str) -> AsyncGenerator[tuple[Site, dict[str, str]]]:
    """An app that is served, and whose run has sent two mails: the path of the link in each, by whose mailbox it was in."""
    people = People({"maria": {"email": "maria@acme.test"}, "otto": {"email": "otto@acme.test"}}, groups={"editors": ["otto", "maria"]})
    async with mailbox() as here:
        channel = Email(smtp=here.url, from_="agents@acme.test")
        app = Agentflow([publish], directory=folder, redis=redis, channels=[channel], people=people)
        app.public_url = "https://agents.acme.test"
        async with app, site_of(app, api_key="k" * 32) as site:
            site.client.headers["authorization"] = f"Bearer {'k' * 32}"
            await site.start("email.publish")
            mails = await here.came.until(2)
            yield site, {to: link_in(mail) for [to], mail in mails}


def link_in(mail: EmailMessage) -> str:
    """The path of its one link; the text and the HTML have the same."""
    [text] = re.findall(r"https://agents\.acme\.test(/\S+)", part(mail, "plain"))
    [html] = re.findall(r'href="https://agents\.acme\.test([^"]+)"', part(mail, "html"))
    assert text == unescape(html)
    return text


async def test_a_mail_has_a_link_of_ones_own_with_which_one_decides_as_oneself(tmp_path: Path, stream_server: str) -> None:
    async with posted(tmp_path, stream_server) as (site, links), Browser(site.url) as otto:
        assert sorted(links) == ["maria@acme.test", "otto@acme.test"]
        assert all(re.fullmatch(r"/w/[\w-]+", path) for path in links.values())
        [question] = await site.app.waitpoints.list()
        page = await otto.open(links["otto@acme.test"])
        assert ("Publish?" in page.text, "otto" in page.text, "maria" in page.text) == (True, True, False)
        assert (await site.app.waitpoints.get(question.id)).state == "pending", "mail alone decides nothing, nor does who looks"
        assert await site.app.waitpoints.votes(question.id) == []
        said = await otto.send(page, choice="approve", reason="Well written.")
        assert (said.status_code, "Approved by otto" in said.text) == (200, True)
        [vote] = await site.app.waitpoints.votes(question.id)
        assert (vote.actor, vote.choice, vote.counted) == ("otto", "approve", True)
        [decided] = await site.app.waitpoints.audit.entries(type="decision")
        assert (decided["actor"], decided["via"]) == ("otto", "link")
        run = (await site.app.waitpoints.get(question.id)).run_id or ""
        await site.ended(run)
        assert (await site.client.get(f"/v1/runs/{run}")).json()["output"] == "True by otto: Well written."


async def test_after_the_end_every_link_says_who_decided_and_decides_nothing(tmp_path: Path, stream_server: str) -> None:
    async with posted(tmp_path, stream_server) as (site, links), Browser(site.url) as maria, Browser(site.url) as otto:
        before = await otto.open(links["otto@acme.test"])
        await maria.send(await maria.open(links["maria@acme.test"]), choice="deny", reason="Too long.")
        late = await otto.send(before, choice="approve")
        assert (late.status_code, "Denied by maria" in late.text) == (409, True)
        for path in links.values():
            page = await otto.open(path)
            assert (page.status_code, "Denied by maria" in page.text, "<form" in page.text) == (200, True, False)
            assert "Too long." in page.text


async def test_a_link_is_good_for_whom_it_was_sent_and_for_nobody_else(tmp_path: Path, stream_server: str) -> None:
    async with posted(tmp_path, stream_server) as (site, links), Browser(site.url) as eve:
        [question] = await site.app.waitpoints.list()
        mine, theirs = links["otto@acme.test"], links["maria@acme.test"]
        page = await eve.open(mine)
        crossed = await eve.post(theirs, eve.filled(page) | {"choice": "approve"})
        assert (crossed.status_code, "did not come from this page" in crossed.text) == (403, True)
        mixed = await eve.open(mine[: len("/w/") + 12] + theirs[len("/w/") + 12 :])
        assert mixed.status_code == 404
        again = await eve.send(page, choice="approve", actor="maria", by="maria")
        assert "Approved by otto" in again.text, "a form names nobody: the link does"
        assert (await site.app.waitpoints.get(question.id)).answered_by == "otto"


async def test_a_mail_makes_nobody_one_of_the_group_that_decides(tmp_path: Path, stream_server: str) -> None:
    people = People({name: {"email": f"{name}@acme.test"} for name in ("eve", "maria")}, groups={"finance": ["maria"]})
    async with mailbox() as here:
        channel = Email(smtp=here.url, from_="agents@acme.test")
        app = Agentflow([refund], directory=tmp_path, redis=stream_server, channels=[channel], people=people)
        app.public_url = "https://agents.acme.test"
        async with app:
            await refund.start()
            links = {to: link_in(mail) for [to], mail in await here.came.until(3)}
            [question] = await app.waitpoints.list()
    assert {to: path.startswith("/w/") for to, path in links.items()} == {
        "eve@acme.test": False,
        "x@else.test": False,
        "maria@acme.test": True,
    }
    assert links["eve@acme.test"] == f"/approvals/{question.id}", "whoever may not decide may look"


async def test_without_an_address_of_the_server_a_mail_says_what_is_missing(tmp_path: Path, stream_server: str) -> None:
    async with mailbox() as here:
        people = People({"maria": {"email": "maria@acme.test"}})
        channel = Email(smtp=here.url, from_="agents@acme.test")
        async with Agentflow([publish], directory=tmp_path, redis=stream_server, channels=[channel], people=people):
            await publish.start()
            [(_, mail)] = await here.came.until(1)
    assert "AGENTFLOW_PUBLIC_URL" in part(mail, "plain")
    assert "http" not in part(mail, "plain")


async def test_a_mail_that_is_sent_again_is_the_same_mail() -> None:
    channel = Email(smtp="smtp://127.0.0.1", from_="agents@acme.test")
    assert channel.composed(NOTICE)["Message-ID"] == channel.composed(NOTICE)["Message-ID"]
    assert channel.composed(NOTICE)["Message-ID"] != channel.composed(replace(NOTICE, address="peter@acme.test"))["Message-ID"]


async def test_a_title_adds_no_header_no_recipient_and_no_markup() -> None:
    evil = replace(ASKED, title="Pay\r\nBcc: eve@evil.test\r\n\r\n<script>x</script>\u202e\u200b", body="<img src=x onerror=y>\x1b[2J")
    async with mailbox() as here:
        await Email(smtp=here.url, from_="agents@acme.test").send(replace(NOTICE, question=evil))
        [(to, mail)] = await here.came.until(1)
    assert (to, mail["Bcc"]) == (["maria@acme.test"], None)
    assert "\u202e" not in str(mail["Subject"])
    assert "<script" not in part(mail, "html")
    assert "<img" not in part(mail, "html")
    assert "\x1b" not in part(mail, "plain")


@pytest.mark.parametrize(
    "address",
    ["maria@acme.test\r\nBcc: eve@evil.test", "maria@acme.test, eve@evil.test", "Maria <maria@acme.test>", "maria", "", "a b@acme.test"],
)
async def test_an_address_that_is_not_one_mailbox_gets_no_mail(address: str) -> None:
    async with mailbox() as here:
        with pytest.raises(ChannelError, match="no e-mail address"):
            await Email(smtp=here.url, from_="agents@acme.test").send(replace(NOTICE, address=address))
        assert here.came.all == []


async def test_a_recipient_that_is_refused_for_good_is_not_tried_again_and_one_that_is_busy_is() -> None:
    async with mailbox() as here:
        here.refuses = {"maria@acme.test": "550 no such user", "peter@acme.test": "451 busy"}
        channel = Email(smtp=here.url, from_="agents@acme.test")
        with pytest.raises(ChannelError, match="550 no such user"):
            await channel.send(NOTICE)
        with pytest.raises(Exception, match="busy") as busy:
            await channel.send(replace(NOTICE, address="peter@acme.test"))
        assert not isinstance(busy.value, ChannelError)


async def test_a_password_is_not_sent_in_the_clear() -> None:
    async with mailbox() as here:
        channel = Email(smtp=here.url.replace("//", "//me:secret@"), from_="agents@acme.test")
        with pytest.raises(Exception, match="STARTTLS"):
            await channel.send(NOTICE)
        assert here.came.all == []


@pytest.mark.parametrize(
    "wrong", [{"smtp": "http://x"}, {"smtp": "mail.acme.test"}, {"from_": "nobody"}, {"from_": "a@b.test\r\nBcc: e@e.test"}]
)
def test_a_server_or_sender_that_cannot_be_is_an_error_at_once(wrong: dict[str, str]) -> None:
    given = {"smtp": "smtp://mail.acme.test", "from_": "agents@acme.test", **wrong}
    with pytest.raises(ConfigurationError):
        Email(smtp=given["smtp"], from_=given["from_"])
