"""Who calls: with an API key, with a token or ticket that came of one, or anybody where no key is set."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from starlette.requests import Request

from agentflow.app import Agentflow
from agentflow.auth.keys import ApiKey, ApiKeys
from agentflow.auth.scopes import Scopes
from agentflow.auth.tokens import Grant, read_token
from agentflow.clock import SECOND, Clock
from agentflow.errors import TokenInvalid
from agentflow.server import tickets

_NOTICE = 60 * SECOND
"""How long before a token's end its streams are told to come back with another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls. `key`: the API key that it has, or that its token was signed with; `grant`: None where it may do all."""

    key: ApiKey | None = None
    grant: Grant | None = None

    @property
    def thoughts(self) -> bool:
        """Whether it may see what a model thinks."""
        return self.grant is None or self.grant.scopes.thoughts

    def reads(self, run_id: str, tags: Iterable[str]) -> bool:
        """Whether it may read a run that has these tags."""
        return self.grant is None or run_id in self.grant.scopes.runs or not self.grant.scopes.tags.isdisjoint(tags)

    def answers(self, waitpoint_id: str, run_id: str | None) -> bool:
        """Whether it may answer a waitpoint of that run."""
        return self.grant is None or waitpoint_id in self.grant.scopes.waitpoints or run_id in self.grant.scopes.waiting

    def expiring(self, clock: Clock) -> Callable[[], bool]:
        """Whether a stream that begins now is to end: a minute before its token does, so that another one can be fetched meanwhile."""
        ends = None if self.grant is None else self.grant.expires_at
        if ends is None:
            return lambda: False
        # A token with less than that to live is good to its end: told at once to come back, its reader would do so again and again.
        until = ends - _NOTICE if ends - clock.now() > _NOTICE else ends
        return lambda: clock.now() >= until


NOBODY = Caller(grant=Grant(id="nobody", scopes=Scopes(texts=())))
"""Who calls what needs nothing, and was not asked: it may do nothing else."""


async def identified(app: Agentflow, keys: ApiKeys, request: Request, *, by_ticket: bool) -> Caller:
    """Who sends a request; with `by_ticket`, a ticket for the run in its path will do. Raises `TokenInvalid`."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    # Headers come as latin-1: this gives back the bytes that were sent.
    credential = given.strip().encode("latin-1")
    if by_ticket and not credential and (text := request.query_params.get("ticket")):
        return await _with_ticket(app, keys, str(request.path_params["id"]), text)
    if not keys:
        return Caller()
    if scheme.lower() != "bearer" or not credential:
        raise TokenInvalid("The API key or token is missing.", hint="Send it as `Authorization: Bearer <key>`.")
    key = keys.find(credential)
    if key is not None:
        return Caller(key=key)
    key, grant = read_token(keys, credential.decode("utf-8", "replace"), app.clock.now())
    return Caller(key=key, grant=grant)


async def _with_ticket(app: Agentflow, keys: ApiKeys, run_id: str, text: str) -> Caller:
    ticket = await tickets.use(app, run_id, text)
    key = None if ticket is None or ticket.key is None else keys.named(ticket.key)
    if ticket is None or (key is None and keys):
        raise TokenInvalid(
            "The ticket was used, has expired, or is for another run.",
            hint="Every connection needs its own: POST /v1/tickets, then connect.",
        )
    return Caller(key=key, grant=ticket.grant)
