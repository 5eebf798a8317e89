"""An AG-UI stream as a response: it never ends without a word, for a client takes silence for success."""

from __future__ import annotations

import logging
import math
from collections.abc import Coroutine
from typing import Any

from starlette.types import Receive, Scope, Send

from agentflow.errors import RunNotFound
from agentflow.server.projections.agui_brackets import said
from agentflow.server.projections.agui_reading import frames
from agentflow.server.stream import Connection, EventStream

_log = logging.getLogger("agentflow.server")


class AguiStream(EventStream):
    """Answers with what a source tells until it ends, the reader leaves, or the server does; then with why."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        await _Connection(self._source, send, live=True, expiring=self._expiring).serve(receive, self._pulse)


class _Connection(Connection):
    def tick(self, now: float, heartbeat: float, rotation: float) -> Coroutine[Any, Any, None] | None:
        # Its client takes the request to come back for the failure of its run.
        return super().tick(now, heartbeat, math.inf)

    async def _last_words(self, error: BaseException | None) -> bytes:
        if self._reason == "deleted" or isinstance(error, RunNotFound):
            return failure("The run was deleted.", "deleted")
        if error is not None:
            _log.error("The AG-UI stream of %s broke", self.run_id, exc_info=error)
        elif self._source.ended:
            return b""
        elif self._reason == "ended":
            return await self._source.rest()
        return failure("The connection ends here, and the run goes on: send the same request again.", "reconnect")


def failure(message: str, code: str) -> bytes:
    """The frame that ends a stream which cannot go on."""
    return frames([said("RUN_ERROR", message=message, code=code)])
