"""A proxy in front, with buffering and compression as they come out of the box: events arrive when they happen."""

from __future__ import annotations

from contextlib import aclosing

import httpx
import pytest

from tests.server.site import PATIENCE, Site
from tests.servers.nginx import find_nginx, nginx_before


async def test_events_pass_a_proxy_that_buffers_as_they_happen(site: Site) -> None:
    program = find_nginx()
    if program is None:
        pytest.skip("nginx is not installed")
    run_id = await site.start("publish", draft="text")
    waitpoint = await site.waiting(run_id)
    with nginx_before(site.url, program) as url:
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as client:
            behind = Site(site.app, url, client, site.drain)
            async with aclosing(behind.frames(run_id)) as frames:
                types: list[str] = []
                async for frame in frames:
                    types.append(frame.type)
                    if frame.type == "sync.live":
                        # All of it is here though the run has not ended, and may not for days.
                        assert "approval.requested" in types
                        answer = await client.post(f"/v1/waitpoints/{waitpoint['id']}/decisions", json={"approved": True})
                        assert answer.status_code == 200
                assert types[-1] == "end"
            raw = await client.get(f"/v1/runs/{run_id}/stream", headers={"accept-encoding": "gzip"})
            assert (raw.headers["content-type"], raw.headers["cache-control"]) == ("text/event-stream", "no-cache, no-transform")
