"""Where people look at a waitpoint."""

from __future__ import annotations

from typing import Protocol
from urllib.parse import quote

from agentflow.app.outbox import LinkMaker


class Served(Protocol):
    """What may be served at an address that people reach; which is known only once it is."""

    @property
    def public_url(self) -> str | None: ...


def page_of(app: Served) -> LinkMaker:
    """Makes the address of a waitpoint's page on the app's server, as people reach it; None as long as that address is not known."""

    async def page(waitpoint_id: str, person: str | None) -> str | None:
        if app.public_url is None:
            return None
        return f"{app.public_url.rstrip('/')}/approvals/{quote(waitpoint_id)}"

    return page
