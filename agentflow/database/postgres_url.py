"""What a `postgresql://` URL says: our own options are taken off, the rest is asyncpg's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from agentflow.errors import ConfigurationError

OURS = ("command_timeout", "connect_timeout", "patience", "pgbouncer", "pool", "prepared", "schema")
THEIRS = (
    "application_name",
    "database",
    "dbname",
    "direct_tls",
    "gsslib",
    "host",
    "krbsrvname",
    "options",
    "passfile",
    "password",
    "port",
    "service",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcert",
    "sslcrl",
    "sslkey",
    "sslmode",
    "sslnegotiation",
    "sslpassword",
    "sslrootcert",
    "target_session_attrs",
    "user",
)
_SCHEMA = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,62}")
_WORDS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


@dataclass(frozen=True, slots=True)
class PostgresOptions:
    """How to reach a database, and how patiently. Times are seconds.

    `pool`: connections at most. `schema`: where its tables are, if not where the server looks by itself.
    `pooled`: between us and the server is a pooler such as pgbouncer, which gives every transaction another connection.
    `patience`: how long a call waits for a server that is away. `command_timeout`: how long for an answer.
    """

    dsn: str
    place: str
    pool: int = 8
    schema: str | None = None
    pooled: bool = False
    patience: float = 30.0
    command_timeout: float = 60.0
    connect_timeout: float = 10.0


def read_url(url: str, schema: str | None = None) -> PostgresOptions:
    """The options of a URL; `schema` counts more than the URL's. Raises `ConfigurationError` that tells what is known.

    >>> read_url("postgresql://app@db/agents?pool=16&schema=staging").pool
    16
    """
    parts = urlsplit(url)
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(given.keys() - {*OURS, *THEIRS})
    if unknown:
        hint = f"Known are {', '.join(OURS)}, and of libpq {', '.join(THEIRS)}."
        raise ConfigurationError(f"The database URL has unknown options: {', '.join(unknown)}.", hint=hint)
    ours = {name: given.pop(name) for name in OURS if name in given}
    given.setdefault("application_name", "agentflow")
    rest = urlencode(given, quote_via=quote)
    return PostgresOptions(
        dsn=urlunsplit(parts._replace(query=rest)),
        place=f"{parts.netloc.rpartition('@')[2] or given.get('host', 'the local socket')}{parts.path}",
        pool=int(_number("pool", ours.get("pool", "8"), least=1, whole=True)),
        schema=_identifier(schema or ours.get("schema")),
        pooled=_flag("pgbouncer", ours.get("pgbouncer", "false")) or not _flag("prepared", ours.get("prepared", "true")),
        patience=_number("patience", ours.get("patience", "30")),
        command_timeout=_number("command_timeout", ours.get("command_timeout", "60"), least=0.01),
        connect_timeout=_number("connect_timeout", ours.get("connect_timeout", "10"), least=0.01),
    )


def _number(name: str, text: str, *, least: float = 0.0, whole: bool = False) -> float:
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        value = least - 1
    if not least <= value < 1e6:
        kind = "whole number" if whole else "number of seconds"
        raise ConfigurationError(f"`{name}={text}` in the database URL is no {kind} from {least:g} up.", hint=f"Write `{name}=20`.")
    return value


def _flag(name: str, text: str) -> bool:
    if text.lower() not in _WORDS:
        raise ConfigurationError(f"`{name}={text}` in the database URL is neither true nor false.", hint=f"Write `{name}=true`.")
    return _WORDS[text.lower()]


def _identifier(name: str | None) -> str | None:
    if name is not None and _SCHEMA.fullmatch(name) is None:
        hint = "Use up to 63 small letters, digits and underscores, beginning with a letter and not with `pg_`."
        raise ConfigurationError(f"{name!r} cannot be the schema of an installation.", hint=hint)
    return name
