"""Tells people in Slack, and takes their clicks."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from pydantic_core import from_json, to_json

from agentflow.channels.cards import card
from agentflow.channels.clicks import Click, Sent, told
from agentflow.channels.notice import EVENTS, ChannelError, Notice, Question
from agentflow.clock import SECOND, Clock, SystemClock
from agentflow.errors import AgentflowError, ConfigurationError, RetryAfter, ServerUnreachable

API = "https://slack.com/api"
HOOKS = "https://hooks.slack.com"
TIMEOUT = 10.0
"""Seconds that Slack may take."""
WINDOW = 300 * SECOND
"""How far the time of a click may be from ours."""
_PASSING = {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"}
"""Errors of Slack that another try may cure."""


class SlackSignatureInvalid(AgentflowError):
    """A request to the interactivity address is not from Slack, or not from now."""

    code = "signature_invalid"
    http_status = 401


class Slack:
    """Posts to Slack with a bot `token` (scope `chat:write`), and takes clicks that are signed with the app's `signing_secret`.

    Set the app's interactivity address to `https://<your server>/v1/channels/slack/<name>`. `notify=["slack:#ops"]` names a channel,
    "slack:user:maria" a direct message to whom `People` knows, "slack" alone tells all who may decide. A click counts for the person whom
    `People` has under that Slack id, and for nobody else; a button carries the id of the waitpoint, and no right. "Edit" opens a form with
    the arguments of a call, which is approved as they are sent. The message is brought up
    to date when the question is decided elsewhere, times out or is taken back. `api_url`, `hooks_url`: where Slack is.

    Raises `ConfigurationError` without a token or a secret.

        Slack(os.environ["SLACK_TOKEN"], os.environ["SLACK_SIGNING_SECRET"])
    """

    reaches_people = True
    events = EVENTS

    def __init__(
        self,
        token: str,
        signing_secret: str,
        *,
        name: str = "slack",
        api_url: str = API,
        hooks_url: str = HOOKS,
        clock: Clock | None = None,
    ) -> None:
        if not token or not signing_secret:
            raise ConfigurationError(
                f"The channel {name!r} needs a token and a signing secret.", hint="Both are on the page of your Slack app."
            )
        self.name = name
        self._token = token
        self._secret = signing_secret.encode()
        self._api = api_url.rstrip("/")
        self._hooks = hooks_url.rstrip("/")
        self._clock: Clock = clock or SystemClock()

    def owner(self, address: str) -> str | None:
        """Others may be where a message is posted."""
        return None

    async def send(self, notice: Notice) -> str | None:
        """Post or update; returns Slack's channel and time stamp of the message."""
        shown = {**asdict(card(notice.question, notice)), "unfurl_links": False}
        if notice.reference is None:
            posted = await self._call("chat.postMessage", {"channel": notice.address, "metadata": _known(notice), **shown})
            return f"{posted['channel']}/{posted['ts']}"
        channel, _, ts = notice.reference.partition("/")
        await self._call("chat.update", {"channel": channel, "ts": ts, **shown})
        if notice.event in ("reminded", "escalated"):
            # An update makes no sound: what is to be noticed is said, too.
            await self._call("chat.postMessage", {"channel": channel, "thread_ts": ts, "text": shown["text"], "reply_broadcast": True})
        return None

    def clicked(self, body: bytes, headers: Mapping[str, str]) -> Click | Sent | None:
        """The click in a request, or the form; None for one that asks nothing of us, as of a link. Raises `SlackSignatureInvalid`."""
        self._check(body, headers)
        try:
            return told(from_json(parse_qs(body.decode(), strict_parsing=True)["payload"][0]))
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, StopIteration):
            return None

    async def show(self, click: Click, form: Mapping[str, Any]) -> None:
        """Open a form before whoever clicked. Raises `ChannelError` where Slack does not, as when three seconds are over."""
        await self._call("views.open", {"trigger_id": click.trigger, "view": form})

    async def reply(self, click: Click, text: str, question: Question | None = None) -> None:
        """Tell whoever clicked, and nobody else; with `question`, show everybody how that stands instead."""
        if not self._is_ours(click.reply_to):
            return
        said: dict[str, Any] = {"response_type": "ephemeral", "replace_original": False, "text": text}
        if question is not None:
            said = {"replace_original": True, **asdict(card(question))}
        await self._post(click.reply_to, said, {})

    def _is_ours(self, address: str) -> bool:
        given, ours = urlsplit(address), urlsplit(self._hooks)
        return (given.scheme, given.netloc) == (ours.scheme, ours.netloc)

    def _check(self, body: bytes, headers: Mapping[str, str]) -> None:
        when, given = headers.get("x-slack-request-timestamp", ""), headers.get("x-slack-signature", "")
        right = "v0=" + hmac.new(self._secret, f"v0:{when}:".encode() + body, sha256).hexdigest()
        fits = hmac.compare_digest(right.encode(), given.encode("utf-8", "replace"))
        recent = when.isascii() and when.isdigit() and len(when) < 12 and abs(int(when) * SECOND - self._clock.now()) <= WINDOW
        if not (fits and recent):
            hint = "Give Slack(signing_secret=…) the secret of the app that calls, and let both clocks be right."
            raise SlackSignatureInvalid("The signature does not fit this call, or its time is not now.", hint=hint)

    async def _call(self, method: str, said: Mapping[str, Any]) -> dict[str, Any]:
        status, text = await self._post(f"{self._api}/{method}", said, {"authorization": f"Bearer {self._token}"})
        answer: Any = from_json(text) if status == HTTPStatus.OK else {"error": f"HTTP {status}"}
        if answer.get("ok") is True:
            return cast("dict[str, Any]", answer)
        error = str(answer.get("error"))
        if error in _PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise ServerUnreachable(f"Slack could not do {method}: {error}.", hint="It is tried again.")
        raise ChannelError(f"Slack refuses {method}: {error}.", hint=_HINTS.get(error, "See the error on Slack's page about that method."))

    async def _post(self, url: str, said: Mapping[str, Any], headers: Mapping[str, str]) -> tuple[int, bytes]:
        import httpx

        async with httpx.AsyncClient(timeout=TIMEOUT, follow_redirects=False) as client:
            heads = {"content-type": "application/json; charset=utf-8", **headers}
            answer = await client.post(url, content=to_json(said), headers=heads)
        if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            raise RetryAfter(float(answer.headers.get("retry-after", "30")), "Slack is told too much at once.")
        return answer.status_code, answer.content


_HINTS = {
    "expired_trigger_id": "Click again: a form opens within three seconds of the click.",
    "channel_not_found": "Name a channel that is there, and invite the app to it.",
    "not_in_channel": "Invite the app to the channel: /invite @app.",
    "invalid_auth": "Give Slack(…) the bot token of the app.",
    "missing_scope": "Give the app the scope chat:write, and install it anew.",
}


def _known(notice: Notice) -> dict[str, Any]:
    """What a message is for other apps: which waitpoint, and which notice, so that one that came twice can be told."""
    return {"event_type": "agentflow_waitpoint", "event_payload": {"waitpoint": notice.question.id, "notice": notice.id}}
