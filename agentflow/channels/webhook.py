"""Tells a machine over HTTP, signed as Standard Webhooks say."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from hashlib import sha256
from http import HTTPStatus

from pydantic_core import to_json

from agentflow.channels.notice import EVENTS, ChannelError, Notice
from agentflow.channels.targets import checked, post
from agentflow.clock import SECOND, Clock, SystemClock
from agentflow.errors import ConfigurationError, ServerUnreachable

_PREFIX = "whsec_"


class Webhook:
    """POSTs each notice as JSON to `url`, signed with `secret` (`whsec_` and base64; several, the new one first, while they are rotated).

    `webhook-id` is the same when a notice comes again: keep it to do things once. Any answer but 2xx is tried again, 410 ends it. Only
    public addresses over https are called, whatever the name says by then, unless `allow_private`.

    Raises `ConfigurationError` for a URL or a secret that cannot be.

        Webhook("https://example.com/hooks/agentflow", os.environ["WEBHOOK_SECRET"])
    """

    reaches_people = False
    events = EVENTS

    def __init__(
        self,
        url: str,
        secret: str | Sequence[str],
        *,
        name: str = "webhook",
        allow_private: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self.name = name
        self._clock: Clock = clock or SystemClock()
        self._url = checked(url, private=allow_private)
        self._private = allow_private
        self._keys = [_key(one) for one in ([secret] if isinstance(secret, str) else secret)]
        if not self._keys:
            raise ConfigurationError(f"The webhook {name!r} has no secret.", hint="Give one: without it nobody could tell who calls.")

    def owner(self, address: str) -> str | None:
        """A machine decides nothing."""
        return None

    async def send(self, notice: Notice) -> None:
        """Post it."""
        body = to_json(message(notice))
        answer = await post(self._url, body, self.signed(notice.id, body), private=self._private)
        if answer.status_code == HTTPStatus.GONE:
            raise ChannelError(f"The webhook {self.name!r} is gone (410).", hint="Take it out of the channels, or give its new address.")
        if not answer.is_success:
            raise WebhookRefused(answer.status_code, answer.headers)

    def signed(self, id: str, body: bytes) -> Mapping[str, str]:
        """The headers of a message that is sent now."""
        when = str(self._clock.now() // SECOND)
        content = f"{id}.{when}.".encode() + body
        signatures = [base64.b64encode(hmac.new(key, content, sha256).digest()).decode() for key in self._keys]
        return {
            "content-type": "application/json",
            "user-agent": "agentflow",
            "webhook-id": id,
            "webhook-timestamp": when,
            "webhook-signature": " ".join(f"v1,{one}" for one in signatures),
        }


class WebhookRefused(ServerUnreachable):
    """A webhook did not take a notice; it is told again, no sooner than its `retry-after` header says."""

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(f"The webhook answered {status}.", hint="It is tried again.", status=status)
        self.headers = headers


def message(notice: Notice) -> Mapping[str, object]:
    """The body: what happened, when, and how the waitpoint is now."""
    happened = datetime.fromtimestamp(notice.at / 1_000, UTC).isoformat().replace("+00:00", "Z")
    data = {**asdict(notice.question), "address": notice.address, "url": notice.link}
    return {"type": f"waitpoint.{notice.event}", "timestamp": happened, "data": data}


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if len(key) < 24:
        hint = "Make one: python -c \"import base64, secrets; print('whsec_' + base64.b64encode(secrets.token_bytes(32)).decode())\""
        raise ConfigurationError("The secret of a webhook is base64 of at least 24 bytes.", hint=hint)
    return key
