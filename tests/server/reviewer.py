"""A person who follows a review link, with a browser that runs no script."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import httpx


class Browser:
    """A person with a browser: it sends the forms that it was shown."""

    def __init__(self, url: str) -> None:
        self._client = httpx.AsyncClient(base_url=url, headers={"sec-fetch-site": "same-origin"})

    async def __aenter__(self) -> Browser:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def open(self, path: str) -> httpx.Response:
        return await self._client.get(path)

    async def send(self, page: httpx.Response, **fields: Any) -> httpx.Response:
        return await self.post(str(page.url), self.filled(page) | fields)

    async def post(self, path: str, form: dict[str, Any]) -> httpx.Response:
        return await self._client.post(path, data=form)

    def filled(self, page: httpx.Response) -> dict[str, Any]:
        """What the form holds as it was shown."""
        found: dict[str, Any] = {}
        for tag in re.findall(r"<input [^>]*>", page.text):
            name, value = re.search(r'name="(\w+)"', tag), re.search(r'value="([^"]*)"', tag)
            if name and ("checkbox" not in tag or " checked" in tag):
                found[name[1]] = unescape(value[1]) if value else ""
        for name, text in re.findall(r'<textarea [^>]*name="(\w+)"[^>]*>\n([^<]*)</textarea>', page.text):
            found[name] = unescape(text)
        for name, options in re.findall(r'<select [^>]*name="(\w+)"[^>]*>(.*?)</select>', page.text):
            chosen = re.search(r'value="(\d*)" selected', options) or re.search(r'value="(\d*)"', options)
            found[name] = chosen[1] if chosen else ""
        return found
