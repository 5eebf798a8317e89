"""Tells people by e-mail: plain text and HTML, with a link that is theirs alone."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import parseaddr
from hashlib import sha256
from html import escape
from typing import Any
from urllib.parse import unquote, urlsplit

from agentflow.channels.notice import EVENTS, ChannelError, Notice
from agentflow.channels.wording import facts, headline, shown
from agentflow.errors import ConfigurationError

TIMEOUT = 20.0
"""Seconds that a mail server may take."""
_ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\\x00-\x20\x7f]{1,64}@[A-Za-z0-9.-]{1,253}")
_PORTS = {"smtp": 587, "smtps": 465}
_GONE = 500
"""What mail servers answer from here on they will answer again."""


@dataclass(frozen=True, slots=True)
class Server:
    """A mail server, from its URL."""

    host: str
    port: int
    tls: bool
    user: str | None
    password: str | None = field(repr=False)

    @classmethod
    def of(cls, url: str) -> Server:
        """Raises `ConfigurationError`."""
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            hint = "Write smtp://user:password@host:587 (STARTTLS where the server has it), or smtps://… for TLS from the start."
            raise ConfigurationError("This is no address of a mail server.", hint=hint)
        secret = None if parts.password is None else unquote(parts.password)
        user = None if parts.username is None else unquote(parts.username)
        return cls(parts.hostname, parts.port or _PORTS[parts.scheme], parts.scheme == "smtps", user, secret)


class Email:
    """Sends e-mail through `smtp` (`smtp://user:password@host:587`, or `smtps://`) from `from_`; needs `pip install agentflow[email]`.

    Each recipient has a mail, and a link, of their own: who opens it decides as them, after a click on the page. Nothing is decided by
    opening it, as mail scanners do, nor by a reply. `notify=["email:maria@acme.test"]` names an address, "email:user:maria" and
    "email:group:ops" are looked up (`People`), and "email" alone tells all who may decide. How a question ended is not mailed: the link
    tells. A password is only sent over TLS.

    Raises `ConfigurationError` for a server or a sender that cannot be.

        Email(smtp=os.environ["SMTP_URL"], from_="Agents <agents@acme.test>")
    """

    reaches_people = True
    events = EVENTS - {"resolved"}

    def __init__(self, *, smtp: str, from_: str, name: str = "email") -> None:
        self.name = name
        self._server = Server.of(smtp)
        self._from = from_
        self._sender = parseaddr(from_)[1]
        if not fits(self._sender) or any(ord(one) < 32 for one in from_):
            raise ConfigurationError(f"{from_!r} cannot send mail.", hint='Write it like "Agents <agents@acme.test>".')

    def owner(self, address: str) -> str | None:
        """A mailbox is its owner's."""
        return address

    async def send(self, notice: Notice) -> str:
        """Send it; returns the id of the message."""
        # An extra: whoever sends no mail need not have it.
        try:
            import aiosmtplib
        except ImportError as error:
            raise ChannelError("E-mail needs the package aiosmtplib.", hint="pip install 'agentflow[email]'") from error

        mail = self.composed(notice)
        server = self._server
        how: dict[str, Any] = {"hostname": server.host, "port": server.port, "use_tls": server.tls, "timeout": TIMEOUT}
        if server.user is not None:
            # Without TLS it would be read on the way.
            how |= {"username": server.user, "password": server.password, "start_tls": None if server.tls else True}
        try:
            await aiosmtplib.send(mail, sender=self._sender, recipients=[notice.address], **how)
        except aiosmtplib.SMTPRecipientsRefused as error:
            refused = error.recipients[0]
            raise _told(refused.code, refused.message, notice.address, error) from error
        except aiosmtplib.SMTPResponseException as error:
            raise _told(error.code, error.message, notice.address, error) from error
        return str(mail["Message-ID"])

    def composed(self, notice: Notice) -> EmailMessage:
        """The mail. Raises `ChannelError` for an address that is none, or more than one."""
        if not fits(notice.address):
            hint = "Name one mailbox, as in maria@acme.test, or somebody whom `People` knows."
            raise ChannelError(f"{notice.address!r} is no e-mail address.", hint=hint)
        mail = EmailMessage()
        mail["From"] = self._from
        mail["To"] = notice.address
        mail["Subject"] = headline(notice)
        mail["Message-ID"] = self._message_id(notice)
        if notice.reference is not None:
            mail["In-Reply-To"] = mail["References"] = notice.reference
        mail["Auto-Submitted"] = "auto-generated"
        mail["X-Auto-Response-Suppress"] = "All"
        mail.set_content(_text(notice))
        mail.add_alternative(_html(notice), subtype="html")
        return mail

    def _message_id(self, notice: Notice) -> str:
        """The same when it is sent again, so that clients show it once."""
        return f"<{notice.id}.{sha256(notice.address.encode()).hexdigest()[:12]}@{self._sender.rpartition('@')[2]}>"


def fits(address: str) -> bool:
    """Whether it is the address of one mailbox.

    >>> fits("maria@acme.test"), fits("maria@acme.test, eve@evil.test"), fits("a@b.test\\nBcc: eve@evil.test")
    (True, False, False)
    """
    return _ADDRESS.fullmatch(address) is not None


def _told(code: int, message: str, address: str, error: Exception) -> Exception:
    if code < _GONE:
        return error
    return ChannelError(f"The mail server refuses {address}: {code} {message}", hint="Correct the address, or the server's settings.")


def _where(notice: Notice) -> str:
    return notice.link or "Open your dashboard to decide: the server's public address (AGENTFLOW_PUBLIC_URL) is not set."


def _warning(notice: Notice) -> str:
    return (
        f"This link is for {notice.person} alone: who has it decides as them. Do not pass it on." if notice.person and notice.link else ""
    )


def _text(notice: Notice) -> str:
    question = notice.question
    told = "\n".join(f"{name}: {value}" for name, value in facts(question))
    body = "" if question.body is None else shown(question.body)
    return "\n\n".join(part for part in (headline(notice), body, told, _where(notice), _warning(notice)) if part) + "\n"


def _html(notice: Notice) -> str:
    question = notice.question
    rows = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in facts(question))
    link = (
        f'<p><a href="{escape(notice.link)}" rel="noreferrer">Look at it and decide</a></p>' if notice.link else f"<p>{_where(notice)}</p>"
    )
    body = "" if question.body is None else f'<pre style="white-space:pre-wrap">{escape(shown(question.body))}</pre>'
    return (
        '<!doctype html><html><body style="font-family:sans-serif">'
        f"<h2>{escape(headline(notice))}</h2>{body}<table>{rows}</table>{link}<p><small>{escape(_warning(notice))}</small></p>"
        "</body></html>"
    )
