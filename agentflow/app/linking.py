"""Links that let one person decide in a browser."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from agentflow.clock import Clock, Duration, microseconds
from agentflow.database.port import Database
from agentflow.errors import ConfigurationError, DefinitionError
from agentflow.storage import links, tries
from agentflow.storage.links import LinkRecord, NewLink
from agentflow.storage.policy import Voter

LONGEST = 90 * 86_400 * 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkWish:
    """What link is wanted: see `Waitpoints.link`."""

    actor: str | Voter
    expires: Duration
    choices: Sequence[str] | None
    by: str | Voter
    replace: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewLink:
    """A link that was made. `path` is the address without the server's name: a secret. `expires_at` is microseconds since 1970."""

    id: str
    waitpoint_id: str
    actor: str
    choices: tuple[str, ...]
    expires_at: int
    path: str = field(repr=False)
    server: str | None = None

    @property
    def url(self) -> str:
        """The whole address. Raises `ConfigurationError` where nobody said by what name people reach the server."""
        if self.server is None:
            raise ConfigurationError(
                "A link needs the address of your server, as people outside reach it.",
                hint="Set AGENTFLOW_PUBLIC_URL=https://…, or put your own address before `path`.",
            )
        return self.server.rstrip("/") + self.path


class Links:
    """Makes links, and opens them."""

    def __init__(self, database: Database, clock: Clock, known: Callable[[str | Voter], Awaitable[Voter]]) -> None:
        self._database = database
        self._clock = clock
        self._known = known
        self.server: str | None = None

    async def make(self, waitpoint_id: str, wish: LinkWish) -> ReviewLink:
        """Make a link. Raises as `Waitpoints.link` does."""
        life, now = microseconds(wish.expires), self._clock.now()
        if not 0 < life <= LONGEST:
            raise DefinitionError(f"A link cannot live for {wish.expires!r}.", hint="It lives for at most 90 days.")
        actor = Voter(wish.actor) if isinstance(wish.actor, str) else wish.actor
        if not 0 < len(actor.name.strip()) <= len(actor.name) <= 256 or "\x00" in actor.name:
            raise DefinitionError("A link is for one person.", hint="Name them in at most 256 characters: user:maria.")
        id, secret = secrets.token_urlsafe(9), secrets.token_urlsafe(32)
        new = NewLink(
            id=id,
            secret=secret,
            actor=await self._known(actor),
            member_of=actor.groups,
            choices=wish.choices,
            made_by=Voter(wish.by) if isinstance(wish.by, str) else wish.by,
            expires_at=now + life,
            replace=wish.replace,
        )
        _, made = await self._database.transact(links.make(waitpoint_id, new, now))
        return ReviewLink(
            id=id,
            waitpoint_id=made.waitpoint,
            actor=made.actor.name,
            choices=made.choices,
            expires_at=made.expires_at,
            path=f"/w/{id}{secret}",
            server=self.server,
        )

    async def opened_by(self, token: str) -> LinkRecord | None:
        """The link of a token; None for an unknown one and a wrong one alike."""
        now = self._clock.now()
        opened = await self._database.read(links.opened_by(token, now))
        if opened.link is None:
            await self._database.transact(tries.count(links.split(token)[0], opened.waitpoint, now))
        return opened.link
