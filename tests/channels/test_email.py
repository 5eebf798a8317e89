"""E-mail through a real mail server: one mail and one link for each person, and nothing that a title could smuggle in."""

from __future__ import annotations

from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path

import pytest

from agentflow import Agentflow, approve, task
from agentflow.channels import ChannelError, Email, Notice, People, Question
from agentflow.errors import ConfigurationError
from tests.channels.receivers import mailbox

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


async def test_each_who_may_decide_has_a_mail_of_their_own_and_mail_alone_decides_nothing(tmp_path: Path, stream_server: str) -> None:
    @task(name="email.publish")
    async def publish() -> str:
        decision = await approve("Publish?", users=["maria"], groups=["editors"], notify=["email"])
        return f"{decision.approved} by {decision.by}"

    people = People({"maria": {"email": "maria@acme.test"}, "otto": {"email": "otto@acme.test"}}, groups={"editors": ["otto", "maria"]})
    async with mailbox() as here:
        channel = Email(smtp=here.url, from_="agents@acme.test")
        app = Agentflow([publish], directory=tmp_path, redis=stream_server, channels=[channel], people=people)
        app.public_url = "https://agents.acme.test"
        async with app:
            run = await publish.start()
            mails = await here.came.until(2)
            assert sorted(to for to, _ in mails) == [["maria@acme.test"], ["otto@acme.test"]]
            [question] = await app.waitpoints.list()
            assert all("https://agents.acme.test/" in part(mail, "plain") for _, mail in mails)
            assert (question.state, await app.waitpoints.votes(question.id)) == ("pending", [])
            await app.waitpoints.approve(question.id, by="otto")
            assert await run.result() == "True by otto"


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
