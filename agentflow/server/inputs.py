"""Messages into running runs, over HTTP."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from starlette.responses import Response

from agentflow.server import needs
from agentflow.server.calls import Call, Operation, answer
from agentflow.server.persons import person
from agentflow.server.requests import Nothing, Strict


class SendMessage(Strict):
    """A message for an input stream of a run: a JSON value. The header Idempotency-Key makes it the same message when it is sent again."""

    data: Any


class SentMessage(BaseModel):
    """The number of the message in its stream, from 1."""

    seq: int


async def send_message(call: Call[SendMessage, Nothing]) -> Response:
    """202 with its number: the run receives it when it asks for it. 409 when the run has ended."""
    name, key = str(call.request.path_params["name"]), call.request.headers.get("idempotency-key")
    seq = await call.app.runs.send(call.id, name, call.body.data, idempotency_key=key, sent_by=person(call))
    return answer(SentMessage(seq=seq), 202)


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/runs/{id}/inputs/{name}",
        handler=send_message,
        needs=needs.WRITE_ONE,
        summary="Send a message into a run",
        body=SendMessage,
        answer=SentMessage,
        statuses=(202,),
        problems=(404, 409, 429),
        headers=("Idempotency-Key",),
    ),
)
