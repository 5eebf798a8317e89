"""Callers of a served app that has API keys."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from agentflow import Agentflow, mint_token
from agentflow.clock import Duration
from tests.server.site import PATIENCE, Site, site_of

KEY = "the key of this server"
OTHER = "another key of this server"


def bearer(credential: str) -> dict[str, str]:
    """The header that a credential is sent in."""
    return {"authorization": f"Bearer {credential}"}


@asynccontextmanager
async def guarded(app: Agentflow, api_key: Any = KEY, **options: Any) -> AsyncGenerator[Site]:
    """Serve an open app that lets in who has a key; this caller has `KEY`."""
    async with site_of(app, api_key=api_key, **options) as site:
        site.client.headers.update(bearer(KEY))
        yield site


@asynccontextmanager
async def sending(site: Site, credential: str | None) -> AsyncGenerator[Site]:
    """The same server to somebody who has this credential, or none."""
    headers = {} if credential is None else bearer(credential)
    async with httpx.AsyncClient(base_url=site.url, headers=headers, timeout=PATIENCE) as client:
        yield Site(site.app, site.url, client, site.drain)


@asynccontextmanager
async def holding(site: Site, *scopes: str, subject: str | None = None, expires: Duration = "15m", key: str = KEY) -> AsyncGenerator[Site]:
    """The same server to somebody who has a token with these scopes."""
    token = mint_token(key, scopes=scopes, subject=subject, expires=expires, clock=site.app.clock)
    async with sending(site, token) as caller:
        yield caller


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of an error."""
    return answer.status_code, answer.json()["code"]
