"""The dashboard's files under `/`. They hold no data: whatever the page shows it asks the API for, with a key where there is one."""

from __future__ import annotations

import gzip
import mimetypes
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from html import escape
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from agentflow.dashboard import BUILD

_PAGE = "index.html"
_BASE = b'<base href="/" />'
# The programs' own names: a typo below them is answered as an API answers, also to a browser.
_PROGRAMS = ("v1", "ai", "agui")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
)
_GUARDS = {
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_FOREVER = "public, max-age=31536000, immutable"
_ASK = "no-cache"
_SMALL = 1_024


@dataclass(frozen=True)
class Asset:
    """A file as it is sent. `lasting`: its name has a hash of what is in it, so it never changes."""

    media: str
    body: bytes
    lasting: bool

    @cached_property
    def tag(self) -> str:
        """Its ETag."""
        return f'"{blake2b(self.body, digest_size=12).hexdigest()}"'

    @cached_property
    def packed(self) -> bytes | None:
        """Its body compressed, where that is worth it."""
        small = gzip.compress(self.body, mtime=0) if len(self.body) > _SMALL else self.body
        return small if len(small) < len(self.body) * 0.9 else None


class Dashboard:
    """Answers what no route of the API answers: files of the bundle, and its page for any address that a person opens in a browser."""

    def __init__(self, folder: Traversable | None, otherwise: ASGIApp) -> None:
        self._folder = folder
        self._otherwise = otherwise

    @cached_property
    def _assets(self) -> dict[str, Asset]:
        return {} if self._folder is None else dict(_read(self._folder))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._answer(Request(scope)) if scope["type"] == "http" and scope["method"] in ("GET", "HEAD") else None
        await (answer or self._otherwise)(scope, receive, send)

    def _answer(self, request: Request) -> Response | None:
        root = request.scope.get("root_path", "")
        path = request.url.path.removeprefix(root).lstrip("/")
        found = self._assets.get(path)
        if found is not None and path != _PAGE:
            return _sent(request, found)
        if path.partition("/")[0] in _PROGRAMS or "text/html" not in request.headers.get("accept", ""):
            return None
        page = self._assets.get(_PAGE)
        return _unbuilt() if page is None else _sent(request, _based(page, root))


def _read(folder: Traversable, above: str = "") -> Iterator[tuple[str, Asset]]:
    for one in folder.iterdir():
        path = f"{above}{one.name}"
        if one.is_dir():
            yield from _read(one, f"{path}/")
        else:
            media = mimetypes.guess_type(one.name)[0] or "application/octet-stream"
            yield path, Asset(media, one.read_bytes(), lasting=path.startswith("assets/"))


def _based(page: Asset, root: str) -> Asset:
    """The page knows where it is mounted, so that a deep link finds its files."""
    return Asset(page.media, page.body.replace(_BASE, f'<base href="{escape(root)}/" />'.encode(), 1), lasting=False)


def _sent(request: Request, asset: Asset) -> Response:
    headers = {**_GUARDS, "etag": asset.tag, "cache-control": _FOREVER if asset.lasting else _ASK, "vary": "Accept-Encoding, Accept"}
    if asset.tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    body = asset.body
    if asset.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        body, headers["content-encoding"] = asset.packed, "gzip"
    return Response(b"" if request.method == "HEAD" else body, headers=headers | {"content-length": str(len(body))}, media_type=asset.media)


def _unbuilt() -> Response:
    return PlainTextResponse(
        f"The dashboard is not built in this checkout. Run `{BUILD}` and start the server again.\n"
        "The API is here all the same: v1/openapi.json\n",
        503,
        headers={"cache-control": "no-store", "x-content-type-options": "nosniff"},
    )
