"""Browser tokens: signed, short-lived, and good for what their scopes say. PyJWT is used here and nowhere else."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from agentflow.auth.keys import ApiKey, ApiKeys
from agentflow.auth.scopes import Scopes
from agentflow.clock import SECOND, Clock, Duration, SystemClock, microseconds
from agentflow.errors import ConfigurationError, DefinitionError, TokenExpired, TokenInvalid

LIFE = "15m"
LONGEST = 24 * 3_600 * SECOND
_LONGEST_SUBJECT = 256
_AGAIN = "Ask your own server for a new one."
# What is signed counts; when it counts is asked of our clock, not of the library's.
_CHECKS: dict[str, Any] = {"verify_exp": False, "verify_iat": False, "verify_nbf": False, "require": ["exp", "jti", "scp"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a caller may do, and in whose name. `id` is the token's; `expires_at` in microseconds since 1970, None where nothing ends it."""

    id: str
    scopes: Scopes
    subject: str | None = None
    expires_at: int | None = None
    groups: frozenset[str] = frozenset()

    @property
    def who(self) -> str:
        """The name under which it acts: its subject, or its own."""
        return self.subject or f"token:{self.id}"


@dataclass(frozen=True, slots=True)
class Minted:
    """A new token. `expires_at` in microseconds since 1970."""

    token: str
    expires_at: int


def mint_token(
    api_key: str,
    *,
    scopes: Sequence[str],
    expires: Duration = LIFE,
    subject: str | None = None,
    groups: Sequence[str] = (),
    clock: Clock | None = None,
) -> str:
    """A token that a browser may have: good for `scopes` and nothing else, on every server that has this API key.

    Needs no server. `api_key`: at least 16 characters; of several, separated by commas, the first signs. `scopes`: `run:read:<id>`,
    `run:read:tag:<tag>`, `run:read:thread:<id>`, `task:start:<name>`, `waitpoint:answer:<id>`, `waitpoint:answer:run:<id>`,
    `waitpoint:link:<id>`, `waitpoint:link:run:<id>` (make review links for its subject), `thoughts` (see what the model thinks),
    `index:read` (list all runs), `grants:read`, `grants:write` (give grants, also with an answer, and take them back). `expires`: a
    duration of at most 24 hours. `subject`: whose token it is; that
    is who decides what is decided with it, and `groups` are those that they are in.

    Raises `InvalidScope`; `DefinitionError` for a duration or subject that cannot be; `ConfigurationError` for a key that cannot sign.

        token = mint_token(os.environ["AGENTFLOW_API_KEY"], scopes=[f"run:read:{run.id}"], subject="user:maria")
    """
    keys = ApiKeys.read(api_key)
    if not keys:
        raise ConfigurationError("There is no API key to sign with.", hint="Pass the API key of your server.")
    return mint(keys.first, Scopes.parse(scopes), subject, expires, (clock or SystemClock()).now(), groups).token


def mint(key: ApiKey, scopes: Scopes, subject: str | None, expires: Duration, now: int, groups: Sequence[str] = ()) -> Minted:
    """A token of this key. Raises `DefinitionError` and `ConfigurationError`."""
    import jwt

    key.check_signs()
    life = microseconds(expires)
    if not 0 < life <= LONGEST:
        raise DefinitionError(f"A token cannot live for {expires!r}.", hint="It lives for at most 24 hours: mint another one then.")
    if subject is not None and not 0 < len(subject.strip()) <= len(subject) <= _LONGEST_SUBJECT:
        raise DefinitionError("The subject of a token cannot be empty, nor longer than 256 characters.", hint="Name a person: user:maria.")
    # Whole seconds, as the claim wants them; rounded up, so that a token of a second lives for one.
    until = -(-(now + life) // SECOND)
    claims: dict[str, Any] = {"jti": secrets.token_urlsafe(12), "exp": until, "iat": now // SECOND, "scp": list(scopes.texts)}
    if subject is not None:
        claims["sub"] = subject
    if groups:
        claims["grp"] = list(groups)
    return Minted(jwt.encode(claims, key.signing, algorithm="HS256", headers={"kid": key.id}), until * SECOND)


def read_token(keys: ApiKeys, text: str, now: int) -> tuple[ApiKey, Grant]:
    """Whose key has signed a token, and what it grants. Raises `TokenInvalid`, and `TokenExpired` for one that was good."""
    key, claims = _verified(keys, text)
    until, scopes, id, subject = (claims.get(name) for name in ("exp", "scp", "jti", "sub"))
    if type(until) is not int or not isinstance(scopes, list) or not isinstance(id, str) or not isinstance(subject, str | None):
        raise _invalid()
    if now >= until * SECOND:
        raise TokenExpired("The token has expired.", hint=_AGAIN, expired_at=until * 1_000)
    known, groups = Scopes.known(cast("list[str]", scopes)), claims.get("grp", [])
    named = frozenset(one for one in cast("list[Any]", groups) if isinstance(one, str)) if isinstance(groups, list) else frozenset[str]()
    return key, Grant(id=id, scopes=known, subject=subject, expires_at=until * SECOND, groups=named)


def _verified(keys: ApiKeys, text: str) -> tuple[ApiKey, dict[str, Any]]:
    import jwt

    try:
        key = keys.named(str(jwt.get_unverified_header(text).get("kid")))
        if key is not None:
            return key, jwt.decode(text, key.signing, algorithms=["HS256"], options=_CHECKS)
    except (jwt.PyJWTError, RecursionError):
        # The last one is for JSON that is nested without end: it is read before its signature is.
        pass
    raise _invalid()


def _invalid() -> TokenInvalid:
    return TokenInvalid(
        "The API key or token is wrong, or its key was taken away.", hint=f"Send an API key of this server, or a token. {_AGAIN}"
    )
