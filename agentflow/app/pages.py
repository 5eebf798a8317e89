"""Where people look at a waitpoint."""

from __future__ import annotations

from typing import Protocol
from urllib.parse import quote

from agentflow.app.outbox import LinkMaker
from agentflow.app.waitpoints import Waitpoints
from agentflow.channels import People
from agentflow.errors import WaitpointError
from agentflow.storage.policy import Voter


class Served(Protocol):
    """What may be served at an address that people reach; which is known only once it is."""

    @property
    def public_url(self) -> str | None: ...
    @property
    def waitpoints(self) -> Waitpoints: ...
    @property
    def people(self) -> People: ...


def page_of(app: Served) -> LinkMaker:
    """Makes the address of a waitpoint's page on the app's server, as people reach it; None as long as that address is not known.

    For a person it is a link with which they decide, and nobody else. Whoever may not decide, or comes too late, may log in and look. A
    message that is sent again has another link, and the one that was sent before stays good: it may be the one that arrived.
    """

    async def page(waitpoint_id: str, person: str | None) -> str | None:
        if app.public_url is None:
            return None
        if person is not None:
            # That somebody is told of a question vouches for no group: only what is known here does.
            actor = Voter(person, await app.people.groups(person))
            try:
                return (await app.waitpoints.link(waitpoint_id, actor=actor, by="system:outbox")).url
            except WaitpointError:
                pass
        return f"{app.public_url.rstrip('/')}/approvals/{quote(waitpoint_id)}"

    return page
