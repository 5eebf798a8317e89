"""What channels send back: clicks in Slack, and forms that are sent there. The signature of the request is all that lets it in."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from pydantic import BaseModel
from starlette.responses import Response

from agentflow.app import Agentflow
from agentflow.app.clicking import Reaction, answered, clicked, sent
from agentflow.channels.clicks import Click, Sent
from agentflow.channels.slack import Slack
from agentflow.server import needs
from agentflow.server.calls import Call, Operation, answer, read_body
from agentflow.server.errors import NoSuchChannel, TryAgain

LIMIT = 256 * 1024
PATIENCE = 2.5
"""Seconds that it may take to be recorded: Slack waits for three, and shows that it failed then, so that it is clicked again."""
_log = logging.getLogger("agentflow.server")
_under_way: set[asyncio.Task[None]] = set()


class Clicked(BaseModel, extra="allow"):
    """The click is recorded, or whoever clicked is told why it does not count. To a form: its `response_action`, in Slack's words."""


async def click_in_slack(call: Call[Any, Any]) -> Response:
    """Take a click, or a form: Slack's interactivity address. Only what is recorded is acknowledged; the same again is the same decision.

    401 without Slack's signature over this very body within five minutes, 503 where it could not be recorded in time.
    """
    slack = call.app.channels.get(str(call.request.path_params["name"]))
    if not isinstance(slack, Slack):
        raise NoSuchChannel("There is no Slack channel of that name.", hint="Its address is /v1/channels/slack/<name of the channel>.")
    heard = slack.clicked(await read_body(call.request, LIMIT), call.request.headers)
    if heard is None:
        return answer(Clicked())
    recorded: asyncio.Future[Clicked] = asyncio.get_running_loop().create_future()
    # Whoever hangs up, or waits no longer, it counts, and who clicked is told.
    task = asyncio.create_task(_taken(call.app, slack, heard, recorded))
    _under_way.add(task)
    task.add_done_callback(_under_way.discard)
    await asyncio.wait({recorded, task}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
    if not recorded.done():
        raise TryAgain("It is not recorded yet.", hint="Click again: it counts once.")
    return answer(recorded.result())


async def _taken(app: Agentflow, slack: Slack, heard: Click | Sent, recorded: asyncio.Future[Clicked]) -> None:
    try:
        if isinstance(heard, Sent):
            recorded.set_result(_reaction(await sent(app, slack, heard)))
            return
        said = await clicked(app, slack, heard)
        recorded.set_result(Clicked())
        if said is not None:
            await answered(slack, heard, said)
    except Exception:  # noqa: BLE001 - nobody waits for it; what was recorded stands, and the message is brought up to date by itself
        _log.exception("a click about %s could not be answered", heard.waitpoint)


def _reaction(found: Reaction) -> Clicked:
    if found.errors:
        return Clicked.model_validate({"response_action": "errors", "errors": found.errors})
    return Clicked.model_validate({"response_action": "update", "view": found.view})


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/channels/slack/{name}",
        handler=click_in_slack,
        needs=needs.OPEN,
        summary="Take a click in Slack, or a form",
        answer=Clicked,
        problems=(401, 404, 503),
        headers=("X-Slack-Request-Timestamp", "X-Slack-Signature"),
        raw=True,
    ),
)
