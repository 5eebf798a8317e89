"""Where people look at a waitpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from agentflow.app.outbox import LinkMaker

if TYPE_CHECKING:
    from agentflow.app import Agentflow


def page_of(app: Agentflow) -> LinkMaker:
    """Makes the address of a waitpoint's page on the app's server, as people reach it; None as long as that address is not known."""

    async def page(waitpoint_id: str, person: str | None) -> str | None:
        if app.public_url is None:
            return None
        return f"{app.public_url.rstrip('/')}/approvals#{quote(waitpoint_id)}"

    return page
