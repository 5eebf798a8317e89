"""Values too large for a row, stored once by their content."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from agentflow.database.port import Transaction
from agentflow.serde import dumps
from agentflow.storage.statements import SQL

LIMIT = 256 * 1024
"""Characters of JSON that a row still holds."""


def stow(text: str, now: int, limit: int = LIMIT) -> Transaction[str]:
    """What to put into the row for `text`: itself, or a pointer to a blob where it has more than `limit` characters."""
    if len(text) <= limit:
        return text
    name = sha256(text.encode()).hexdigest()
    yield SQL.blobs.put(hash=name, value=text, now=now)
    return "@" + name


def resolve(texts: Iterable[str | None]) -> Transaction[dict[str, str]]:
    """The blobs behind those of `texts` that are pointers, by pointer."""
    names = [text[1:] for text in texts if text is not None and text.startswith("@")]
    if not names:
        return {}
    rows = yield SQL.blobs.get(hashes=dumps(names))
    return {"@" + row["hash"]: row["value"] for row in rows}


def full(text: str) -> Transaction[str]:
    """`text` itself, or the blob that it points to."""
    if not text.startswith("@"):
        return text
    return (yield from resolve([text]))[text]
