"""Browser tokens and tickets as they go over HTTP. Times are milliseconds since 1970."""

from __future__ import annotations

from pydantic import BaseModel, Field

from agentflow.server.models import RunDetail, Time
from agentflow.server.requests import Strict


class MintToken(Strict):
    """What a token is to be good for, for how long (a duration, at most 24 hours), whose it is, and their groups."""

    scopes: list[str]
    expires: int | float | str = "15m"
    subject: str | None = None
    groups: list[str] = Field(default_factory=list[str])


class BrowserToken(BaseModel):
    """A token to be sent as `Authorization: Bearer <token>`."""

    token: str
    expires_at: Time


class IssueTicket(Strict):
    """The run to be read."""

    run: str


class BrowserTicket(BaseModel):
    """A ticket to be sent once, as `?ticket=`, with a request for the run's stream or events."""

    ticket: str
    expires_at: Time


class StartedRun(RunDetail):
    """A run that was started. `token` reads it, where a browser token has started it."""

    token: str | None
