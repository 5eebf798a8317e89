"""What channels send back: clicks in Slack. The signature of the request is all that lets it in."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from pydantic import BaseModel
from starlette.responses import Response

from agentflow.app import Agentflow
from agentflow.app.clicking import answered, clicked
from agentflow.channels.slack import Click, Slack
from agentflow.server import needs
from agentflow.server.calls import Call, Operation, answer, read_body
from agentflow.server.errors import NoSuchChannel, TryAgain

LIMIT = 256 * 1024
PATIENCE = 2.5
"""Seconds that a click may take to be recorded: Slack waits for three, and shows that it failed then, so that it is clicked again."""
_log = logging.getLogger("agentflow.server")
_under_way: set[asyncio.Task[None]] = set()


class Clicked(BaseModel):
    """The click is recorded, or whoever clicked is told why it does not count."""


async def click_in_slack(call: Call[Any, Any]) -> Response:
    """Take a click: Slack's interactivity address. Only what is recorded is acknowledged; the same click again is the same decision.

    401 without Slack's signature over this very body within five minutes, 503 where the click could not be recorded in time.
    """
    slack = call.app.channels.get(str(call.request.path_params["name"]))
    if not isinstance(slack, Slack):
        raise NoSuchChannel("There is no Slack channel of that name.", hint="Its address is /v1/channels/slack/<name of the channel>.")
    click = slack.clicked(await read_body(call.request, LIMIT), call.request.headers)
    if click is None:
        return answer(Clicked())
    recorded: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    # Whoever hangs up, or waits no longer, the click counts, and who clicked is told.
    task = asyncio.create_task(_taken(call.app, slack, click, recorded))
    _under_way.add(task)
    task.add_done_callback(_under_way.discard)
    await asyncio.wait({recorded, task}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
    if not recorded.done():
        raise TryAgain("The click is not recorded yet.", hint="Click again: it counts once.")
    return answer(Clicked())


async def _taken(app: Agentflow, slack: Slack, click: Click, recorded: asyncio.Future[None]) -> None:
    try:
        said = await clicked(app, slack, click)
        recorded.set_result(None)
        await answered(slack, click, said)
    except Exception:  # noqa: BLE001 - nobody waits for it; what was recorded stands, and the message is brought up to date by itself
        _log.exception("a click about %s could not be answered", click.waitpoint)


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/channels/slack/{name}",
        handler=click_in_slack,
        needs=needs.OPEN,
        summary="Take a click in Slack",
        answer=Clicked,
        problems=(401, 404, 503),
        headers=("X-Slack-Request-Timestamp", "X-Slack-Signature"),
        raw=True,
    ),
)
