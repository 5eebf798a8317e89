"""Where our own HTTP requests may go: to the internet, and not to what only this machine or its network can reach."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from agentflow.channels.notice import ChannelError
from agentflow.errors import ConfigurationError

if TYPE_CHECKING:
    import httpx

TIMEOUT = 10.0
"""Seconds that a request may take."""


def checked(url: str, *, private: bool) -> str:
    """A URL that requests may go to. Raises `ConfigurationError` for one that is none, and without TLS unless `private` targets may be."""
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.username is not None:
        raise ConfigurationError(f"{url!r} is no web address for a webhook.", hint="Give it as https://host/path, without a password.")
    if parts.scheme == "http" and not private:
        hint = "Use https, or allow_private=True for a machine in your own network."
        raise ConfigurationError(f"{url!r} would be called in the clear.", hint=hint)
    return url


async def post(url: str, body: bytes, headers: Mapping[str, str], *, private: bool) -> httpx.Response:
    """Post to a target, and to no other: redirects are not followed, and the address that was looked at is the one that is called.

    Only the status and the headers of the answer are read. Raises `ChannelError` for a target that may not be.
    """
    import httpx

    parts = urlsplit(url)
    asked: dict[str, Any] = {"url": url, "headers": dict(headers)}
    if not private:
        host = parts.hostname or ""
        asked = {
            "url": _at(parts, await _public(host, parts.port or 443)),
            "headers": {**headers, "host": parts.netloc},
            "extensions": {"sni_hostname": host},
        }
    # A proxy of the environment would look the name up again.
    async with httpx.AsyncClient(timeout=TIMEOUT, trust_env=False, follow_redirects=False) as client:
        request = client.build_request("POST", content=body, **asked)
        response = await client.send(request, stream=True)
        await response.aclose()
        return response


async def _public(host: str, port: int) -> str:
    """An address of a host, all of whose addresses are public."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(one[4][0]) for one in found]
    for address in addresses:
        if not is_public(address):
            hint = "Only public addresses are called; allow_private=True allows others."
            raise ChannelError(f"{host} is at {address}, which is not on the internet.", hint=hint)
    return addresses[0]


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet: also not one of ours that is written in another way.

    >>> is_public("10.0.0.1"), is_public("::ffff:127.0.0.1"), is_public("1.1.1.1")
    (False, False, True)
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None) or _of_nat64(found)
        found = inner or found
    return found.is_global and not found.is_multicast


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def _of_nat64(found: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    return ipaddress.IPv4Address(int(found) & 0xFFFF_FFFF) if found in _NAT64 else None


def _at(parts: SplitResult, address: str) -> str:
    host = f"[{address}]" if ":" in address else address
    return parts._replace(netloc=host if parts.port is None else f"{host}:{parts.port}").geturl()
