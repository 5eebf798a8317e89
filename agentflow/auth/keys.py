"""API keys, and the key that signs the tokens of each."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field

from agentflow.errors import ConfigurationError

_SHORTEST = 16
"""Bytes. Whoever has a token can try keys on it for as long as they like, so a key that signs must not be guessed."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key, which is not kept itself. `id` names it and tells nothing of it; `signing` is the key of its tokens."""

    id: str
    signing: bytes = field(repr=False)
    digest: bytes = field(repr=False)
    short: bool

    @classmethod
    def of(cls, text: str) -> ApiKey:
        """The key of this text. Each thing derived from it tells nothing of the others."""
        key = text.encode()
        return cls(
            id=hmac.digest(key, b"agentflow key id 1", "sha256")[:8].hex(),
            signing=hmac.digest(key, b"agentflow browser tokens 1", "sha256"),
            digest=_digest(key),
            short=len(key) < _SHORTEST,
        )

    def check_signs(self) -> None:
        """Raise `ConfigurationError` when this key is too short to sign tokens."""
        if self.short:
            raise ConfigurationError(
                f"An API key of less than {_SHORTEST} characters signs no tokens: who has a token could guess it.",
                hint="Make a longer one, for example with `openssl rand -hex 32`.",
            )


class ApiKeys:
    """The API keys of a server. Each lets in; what one has signed counts for as long as it is among them."""

    def __init__(self, keys: Sequence[ApiKey] = ()) -> None:
        self._keys = tuple(keys)
        self._by_id = {key.id: key for key in self._keys}

    @classmethod
    def read(cls, given: str | Sequence[str] | None) -> ApiKeys:
        """One key or several: a text with commas, or a sequence. None is no key. Raises `ConfigurationError` for what holds none."""
        if given is None:
            return cls()
        texts = [one.strip() for text in ([given] if isinstance(given, str) else given) for one in text.split(",")]
        known = list(dict.fromkeys(text for text in texts if text))
        if not known:
            raise ConfigurationError(
                "The API key is empty.", hint="Give a key, or none at all: on loopback a server may be open to everybody."
            )
        return cls([ApiKey.of(text) for text in known])

    def __bool__(self) -> bool:
        return bool(self._keys)

    def find(self, given: bytes) -> ApiKey | None:
        """The key that a caller has sent, if it is one."""
        digest = _digest(given)
        # All are compared, and each in constant time: how long it takes says nothing about any of them.
        fits = [hmac.compare_digest(digest, key.digest) for key in self._keys]
        return next((key for key, fit in zip(self._keys, fits, strict=True) if fit), None)

    def named(self, id: str) -> ApiKey | None:
        """The key of an id."""
        return self._by_id.get(id)

    @property
    def first(self) -> ApiKey:
        """The key that signs where there are several."""
        return self._keys[0]


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
