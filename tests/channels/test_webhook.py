"""Signed messages to machines, taken by a receiver that checks them with the library that Standard Webhooks give out."""

from __future__ import annotations

import base64
import socket
from dataclasses import replace

import pytest
from standardwebhooks import Webhook as Checker
from standardwebhooks import WebhookVerificationError

from agentflow.channels import ChannelError, Notice, Question, Webhook
from agentflow.channels.targets import is_public
from agentflow.channels.webhook import WebhookRefused
from agentflow.clock import SECOND
from agentflow.errors import ConfigurationError
from agentflow.retry import Retry, retry_after
from tests.channels.receivers import receiver

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
OLD = "whsec_" + base64.b64encode(b"o" * 32).decode()
ASKED = Question(id="wp_1", kind="approval", title="Refund?", body={"cents": 5}, risk="high", run="run_1")
NOTICE = Notice(id="wp_1.1", event="requested", at=1_700_000_000_000, address="", question=ASKED)


async def test_a_message_is_signed_so_that_the_standard_library_takes_it_and_its_id_stays_when_it_comes_again() -> None:
    async with receiver() as here:
        hook = Webhook(here.url, [SECRET, OLD], allow_private=True)
        await hook.send(NOTICE)
        await hook.send(NOTICE)
        first, again = await here.came.until(2)
    for secret in (SECRET, OLD):
        told = Checker(secret).verify(first.body, dict(first.headers))
    assert told["type"] == "waitpoint.requested"
    assert told["timestamp"] == "2023-11-14T22:13:20Z"
    assert (told["data"]["id"], told["data"]["body"], told["data"]["state"]) == ("wp_1", {"cents": 5}, "pending")
    assert first.headers["webhook-id"] == again.headers["webhook-id"] == "wp_1.1"
    with pytest.raises(WebhookVerificationError):
        Checker(SECRET).verify(first.body.replace(b"5", b"500"), dict(first.headers))


async def test_what_is_not_taken_is_tried_again_as_late_as_asked_and_what_is_gone_is_not() -> None:
    async with receiver() as here:
        hook = Webhook(here.url, SECRET, allow_private=True)
        here.statuses, here.headers = [500, 302, 410], {"retry-after": "77", "location": "http://127.0.0.1:1/"}
        for _ in range(2):
            with pytest.raises(WebhookRefused) as refused:
                await hook.send(NOTICE)
            assert Retry(attempts=2).wants(refused.value)
            assert retry_after(refused.value, 0) == 77 * SECOND
        with pytest.raises(ChannelError) as gone:
            await hook.send(NOTICE)
        assert not Retry(attempts=2).wants(gone.value)
        assert len(here.came.all) == 3


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:7f00:1]", "0.0.0.0", "10.0.0.8", "169.254.169.254", "2130706433"]
)
async def test_what_only_this_machine_reaches_is_never_called(host: str) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    with listening, pytest.raises(ChannelError, match="not on the internet"):
        await Webhook(f"https://{host}:{listening.getsockname()[1]}/", SECRET).send(NOTICE)
    with pytest.raises(OSError, match=r"."):
        listening.accept()


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("1.1.1.1", True),
        ("2606:4700::1111", True),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("fd00::1", False),
        ("fe80::1%eth0", False),
        ("::", False),
        ("64:ff9b::a00:1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_an_address_is_of_the_internet_or_not(address: str, public: bool) -> None:
    assert is_public(address) is public


@pytest.mark.parametrize("url", ["http://example.com/", "ftp://example.com", "https://", "https://me:secret@example.com/", "example.com"])
def test_a_target_that_cannot_be_is_an_error_at_once(url: str) -> None:
    with pytest.raises(ConfigurationError):
        Webhook(url, SECRET)


@pytest.mark.parametrize("secret", ["", [], "whsec_short", "whsec_*", "whsec_" + base64.b64encode(b"k" * 23).decode()])
def test_a_secret_that_guards_nothing_is_an_error_at_once(secret: str | list[str]) -> None:
    with pytest.raises(ConfigurationError):
        Webhook("https://example.com/", secret)


async def test_the_end_is_told_with_who_decided() -> None:
    ended = replace(ASKED, state="denied", by="ana", reason="too much")
    async with receiver() as here:
        await Webhook(here.url, SECRET, allow_private=True).send(replace(NOTICE, id="wp_1.2", event="resolved", question=ended))
        [told] = await here.came.until(1)
    assert (told.json["type"], told.json["data"]["by"], told.json["data"]["reason"]) == ("waitpoint.resolved", "ana", "too much")
