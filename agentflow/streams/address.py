"""Where Redis is, as its URL says: one server, a master that sentinels name, or a cluster."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlencode

from agentflow.errors import ConfigurationError

Host = tuple[str, int]

_FORMS = "Write redis://, rediss:// or unix://; redis+sentinel://host1,host2/master; or redis+cluster://host1,host2 (rediss+… for TLS)."
_URL = re.compile(r"(redis|rediss)(\+sentinel|\+cluster)?://(?:(?P<user>[^/?]*)@)?(?P<hosts>[^/?]*)(?P<path>/[^?]*)?(?:\?(?P<query>.*))?")
_UNIX = re.compile(r"unix://(?:(?P<user>[^/?]*)@)?(?P<path>/[^?]+)(?:\?(?P<query>.*))?")
_HOST = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.%]+)\]|(?P<name>[^:\[\]\s]+))(?::(?P<port>[^:]*))?")
_SECRET = re.compile(r"(?<=//)[^@/?]*(?=@)|(?<=password=)[^&]*")

_LOGIN = ("username", "password", "client_name", "db", "socket_connect_timeout")
_TLS = (
    "ssl_ca_certs",
    "ssl_ca_data",
    "ssl_ca_path",
    "ssl_cert_reqs",
    "ssl_certfile",
    "ssl_check_hostname",
    "ssl_ciphers",
    "ssl_keyfile",
    "ssl_min_version",
    "ssl_password",
)
_SENTINEL = ("sentinel_username", "sentinel_password")


@dataclass(frozen=True, slots=True)
class Address:
    """What a URL says. `hosts` of a cluster or of its sentinels; `master` is the name that sentinels know it by."""

    url: str
    form: str
    secure: bool = False
    hosts: tuple[Host, ...] = ()
    master: str = ""
    db: str = ""
    user: str = ""
    options: tuple[tuple[str, str], ...] = ()
    sentinel: tuple[tuple[str, str], ...] = ()

    @property
    def shown(self) -> str:
        """The URL without its secrets."""
        return without_secrets(self.url)

    def server(self, host: Host) -> str:
        """The URL of one of the servers."""
        user = f"{self.user}@" if self.user else ""
        return f"{_scheme(self.secure)}://{user}{_place(host)}/{self.db}{_query(self.options)}"

    def watcher(self, host: Host) -> str:
        """The URL of a sentinel: it has its own login, and the TLS of the servers."""
        tls = [(name, value) for name, value in self.options if name in _TLS]
        return f"{_scheme(self.secure)}://{_place(host)}{_query([*tls, *self.sentinel])}"


def without_secrets(url: str) -> str:
    """A URL as it may be shown.

    >>> without_secrets("redis://maria:tea@host/0")
    'redis://***@host/0'
    """
    return _SECRET.sub("***", url)


def read_address(url: str) -> Address:
    """Read the URL of a Redis. Raises `ConfigurationError`, which says what is wrong with it."""
    local = _UNIX.fullmatch(url)
    if local:
        _options(url, local["query"], (*_LOGIN, *_TLS))
        return Address(url, "server")
    found = _URL.fullmatch(url)
    if found is None:
        raise _wrong(url, "is not the URL of a Redis.", _FORMS)
    form = (found[2] or "+server")[1:]
    hosts = _hosts(url, found["hosts"], 26_379 if form == "sentinel" else 6_379)
    path = [unquote(part) for part in (found["path"] or "").split("/") if part]
    known = (*_LOGIN, *_TLS, *(_SENTINEL if form == "sentinel" else ()))
    options = _options(url, found["query"], known)
    master = _master(url, form, path, len(hosts))
    db = _db(url, form, path)
    own = tuple((name, value) for name, value in options if name not in _SENTINEL)
    watching = tuple((name.removeprefix("sentinel_"), value) for name, value in options if name in _SENTINEL)
    return Address(url, form, found[1] == "rediss", hosts, master, db, found["user"] or "", own, watching)


def _hosts(url: str, text: str, port: int) -> tuple[Host, ...]:
    return tuple(_host(url, part, port) for part in text.split(",")) if text else (("localhost", port),)


def _host(url: str, text: str, port: int) -> Host:
    found = _HOST.fullmatch(text.strip())
    if found is None:
        raise _wrong(url, f"names a host {text!r}.", "Write hosts as name:port or [IPv6]:port, with commas between them.")
    given = found["port"]
    if given is not None and not (given.isascii() and given.isdigit() and 0 < int(given) < 65_536):
        raise _wrong(url, f"has a port {given!r}.", "A port is a number from 1 to 65535.")
    return unquote(found["six"] or found["name"]), int(given) if given else port


def _master(url: str, form: str, path: list[str], hosts: int) -> str:
    if form == "sentinel":
        if not path:
            raise _wrong(url, "names no master.", "Write the name that the sentinels know it by: redis+sentinel://host:26379/mymaster.")
        return path.pop(0)
    if form == "server" and hosts > 1:
        raise _wrong(url, "names several servers.", "Of a cluster write redis+cluster://…, of sentinels redis+sentinel://…/master-name.")
    return ""


def _db(url: str, form: str, path: list[str]) -> str:
    if len(path) > 1 or (path and not (path[0].isascii() and path[0].isdigit())):
        raise _wrong(url, f"names a database {'/'.join(path)!r}.", "The databases of a Redis are numbers: 0, 1, …")
    db = path[0] if path else ""
    if form == "cluster" and db.strip("0"):
        raise _wrong(url, f"names database {db}.", "A cluster has only database 0: leave the number out.")
    return "" if form == "cluster" else db


def _options(url: str, query: str | None, known: Sequence[str]) -> tuple[tuple[str, str], ...]:
    found = parse_qs(query or "", keep_blank_values=True)
    for name in found:
        if name not in known:
            raise _wrong(url, f"has an option {name!r}.", f"Known are: {', '.join(known)}.")
    return tuple((name, values[-1]) for name, values in found.items())


def _scheme(secure: bool) -> str:
    return "rediss" if secure else "redis"


def _place(host: Host) -> str:
    name, port = host
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def _query(options: Sequence[tuple[str, str]]) -> str:
    return f"?{urlencode(options)}" if options else ""


def _wrong(url: str, what: str, hint: str) -> ConfigurationError:
    return ConfigurationError(f"redis={without_secrets(url)!r} {what}", hint=hint)
