"""What machines send to callbacks. The secret in the path is all that they need; GET does nothing."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel
from pydantic_core import from_json
from starlette.responses import Response

from agentflow.app.calling_back import CallbackCall
from agentflow.server import needs
from agentflow.server.calls import Call, Operation, answer, read_body
from agentflow.server.errors import RequestError

LIMIT = 256 * 1024
"""Bytes of a body: what is larger is stored elsewhere, and sent as a reference."""


class Taken(BaseModel):
    """The message is kept, and the run goes on."""

    status: Literal["taken"] = "taken"


async def call_back(call: Call[Any, Any]) -> Response:
    """Answer a callback with a JSON body. The same message again (the same body, `webhook-id` or Idempotency-Key) is a 200 as well.

    404 for an unknown id and a wrong secret alike, 409 when another message was taken, 410 when the callback has ended.
    """
    body = await read_body(call.request, LIMIT)
    try:
        value = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise RequestError(f"The body is not JSON: {error}.", hint="Send one JSON value.") from None
    secret = str(call.request.path_params["secret"])
    await call.app.waitpoints.call_back(call.id, secret, CallbackCall(body, value, call.request.headers))
    return answer(Taken())


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/callbacks/{id}/{secret}",
        handler=call_back,
        needs=needs.OPEN,
        summary="Answer a callback, as a machine",
        answer=Taken,
        problems=(400, 401, 404, 409, 410),
        headers=("Idempotency-Key", "Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"),
        raw=True,
    ),
)
