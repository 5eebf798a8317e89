"""`/w/{token}`: GET shows a question and changes nothing, POST decides about it as the person whom the link is for."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b, sha256
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agentflow.app.fields import edited, fields_of, filled_in
from agentflow.errors import AgentflowError, InvalidAnswer, WaitpointAlreadyAnswered, WaitpointNotFound, WaitpointTimedOut
from agentflow.records import WaitKind, WaitpointRecord, WaitState
from agentflow.serde import dumps, loads
from agentflow.server.calls import Service, check_host, read_body
from agentflow.server.errors import Forbidden, InternalError, RequestError, UnsupportedMediaType, status_of, unexpected
from agentflow.server.review import outcome
from agentflow.server.review.page import BLANK, Filled, Review, arguments, can_edit, ended, notice, question
from agentflow.storage import links
from agentflow.storage.links import LinkRecord

_LIMIT = 256 * 1024
"""Bytes of a form."""
_MOST = 500
"""Fields of a form."""
_LONGEST_REASON = 4_000
_WRONG = "Something does not fit: see below."
Form = Mapping[str, Sequence[str]]


class _Page:
    """Answers for one service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._verbs = service.app.waitpoints

    async def answered(self, request: Request) -> Response:
        """The answer to a request, whatever happens: a page, for a person reads it."""
        try:
            check_host(self._service, request)
            return await self._answered(request)
        except AgentflowError as error:
            return notice(status_of(error), "This did not work", f"{error.message} {error.hint}")
        except Exception as error:  # noqa: BLE001 - a defect is told as a page, too
            unexpected(error, request, "/w/…")
            return notice(InternalError.http_status, "This did not work", "The server has failed. Try it again later.")

    async def _answered(self, request: Request) -> Response:
        token = str(request.path_params["token"])
        link = await self._verbs.links.opened_by(token) if token.isascii() and token.isprintable() else None
        if link is None:
            return _unknown()
        try:
            one = await self._verbs.get(link.waitpoint)
        except WaitpointNotFound:
            return _unknown()
        now = self._service.app.clock.now()
        if link.revoked_at is not None:
            return notice(410, "This link was closed", "You were given another one, or others are to decide. It cannot be used any more.")
        if link.expires_at <= now:
            return notice(
                410, "This link has expired", "Its time is over. Ask whoever sent it for another one, if the question is still open."
            )
        if request.method == "POST" and one.state is WaitState.PENDING:
            return await self._decided(request, token, link, one)
        review = await self._review(token, link, one)
        if one.state is WaitState.PENDING:
            return question(200, review)
        return ended(200 if request.method != "POST" else 409, review)

    async def _review(self, token: str, link: LinkRecord, one: WaitpointRecord) -> Review:
        votes = await self._verbs.votes(one.id)
        return Review(link=link, waitpoint=one, votes=votes, now=self._service.app.clock.now(), checks=_checks(token, one))

    async def _decided(self, request: Request, token: str, link: LinkRecord, one: WaitpointRecord) -> Response:
        form = await _form(request)
        _check_form(request, token, form)
        value, filled = _said(link, one, form)
        if filled.problems or filled.message:
            return question(422, await self._review(token, link, one), filled)
        key = f"link:{link.id}:{_first(form, 'nonce')}:{blake2b(dumps(value).encode(), digest_size=8).hexdigest()}"
        try:
            await self._verbs.decide(one.id, value, by=link.actor, seen=_first(form, "seen") or None, idempotency_key=key)
        except InvalidAnswer as error:
            wrong = {one["at"]: one["problem"] for one in error.details.get("problems", ())}
            placed = bool(wrong) and wrong.keys() <= {field.at for field in fields_of(loads(one.schema or "{}"))}
            told = replace(filled, problems=wrong, message=_WRONG if placed else error.message)
            return question(422, await self._review(token, link, one), told)
        except (WaitpointAlreadyAnswered, WaitpointTimedOut) as error:
            return await self._lost(token, link, error)
        except AgentflowError as error:
            told = replace(filled, problems={}, message=f"{error.message} {error.hint}")
            return question(status_of(error), await self._review(token, link, await self._verbs.get(one.id)), told)
        after = await self._review(token, link, await self._verbs.get(one.id))
        return question(200, after) if after.waitpoint.state is WaitState.PENDING else ended(200, after)

    async def _lost(self, token: str, link: LinkRecord, error: AgentflowError) -> Response:
        review = await self._review(token, link, await self._verbs.get(link.waitpoint))
        if review.waitpoint.state is WaitState.PENDING:
            return notice(410, "This came too late", f"{error.message} {error.hint}")
        return ended(status_of(error), review)


def routes(service: Service) -> list[Route]:
    """The route of the page."""

    async def endpoint(request: Request) -> Response:
        return await _Page(service).answered(request)

    return [Route("/w/{token}", endpoint, methods=["GET", "POST"], name="review")]


def _unknown() -> Response:
    """The one answer to a link that never was, one with a wrong secret, and one whose question is gone."""
    return notice(404, "There is nothing at this address", "Use the link as it was sent to you, the whole of it.")


async def _form(request: Request) -> Form:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise UnsupportedMediaType("This is no form of this page.", hint="Open the link, and use the form there.")
    body = await read_body(request, _LIMIT)
    try:
        return parse_qs(body.decode("utf-8"), keep_blank_values=True, max_num_fields=_MOST, errors="strict")
    except ValueError:
        raise RequestError("The form cannot be read.", hint="Open the link, and use the form there.") from None


def _checks(token: str, one: WaitpointRecord) -> dict[str, str]:
    """What the form of a question brings back: which it was, what it showed, and that both came from this page."""
    nonce, seen = secrets.token_urlsafe(9), str(loads(one.subject).get("digest") or "")
    return {"nonce": nonce, "seen": seen, "check": _check(token, nonce, seen)}


def _check(token: str, nonce: str, seen: str) -> str:
    """Signed with the secret of the link, which no page of others knows."""
    key = sha256(b"agentflow review form 1" + links.split(token)[1].encode("utf-8", "replace")).digest()
    return hmac.new(key, dumps([links.split(token)[0], nonce, seen]).encode(), sha256).hexdigest()


def _check_form(request: Request, token: str, form: Form) -> None:
    site = request.headers.get("sec-fetch-site", "same-origin")
    right = _check(token, _first(form, "nonce"), _first(form, "seen"))
    if site not in ("same-origin", "none") or not hmac.compare_digest(right.encode(), _first(form, "check").encode()):
        raise Forbidden("This form did not come from this page.", hint="Open the link again, and decide there. Nothing was changed.")


def _first(form: Form, name: str) -> str:
    return form.get(name, ("",))[0]


def _said(link: LinkRecord, one: WaitpointRecord, form: Form) -> tuple[Any, Filled]:
    """What the form says, as a decision, and as it is shown again where it cannot be taken."""
    choice = _first(form, "choice")
    if not _is_offered(choice, link, one):
        return None, replace(BLANK, message="Say what you decide: use one of the buttons.")
    if one.kind is not WaitKind.APPROVAL:
        value, problems = filled_in(fields_of(loads(one.schema or "{}")), form)
        return value, Filled(value=value, problems=problems, message=_WRONG if problems else "")
    reason = _first(form, "reason").replace("\r\n", "\n").strip()[:_LONGEST_REASON]
    decision: dict[str, Any] = {"approved": choice != "deny", **({"reason": reason} if reason else {})}
    edits, problems = _edits(choice, link, one, form)
    filled = Filled(value=edits, reason=reason, problems=problems, message=_WRONG if problems else "")
    return ({**decision, "edits": edits} if edits is not None else decision), filled


def _is_offered(choice: str, link: LinkRecord, one: WaitpointRecord) -> bool:
    if choice == outcome.DONE:
        return outcome.is_outcome(loads(one.subject)) and {"approve", "edit"} <= set(link.choices)
    return choice in link.choices and choice != "edit"


def _edits(choice: str, link: LinkRecord, one: WaitpointRecord, form: Form) -> tuple[dict[str, Any] | None, dict[str, str]]:
    subject = loads(one.subject)
    if choice == outcome.DONE:
        return outcome.done(one, form)
    if choice != "approve" or outcome.is_outcome(subject):
        return None, {}
    body = arguments(subject)
    fields = fields_of(loads(one.schema or "{}"))
    # A form without these fields is one that shows none; an unchecked box sends nothing, so another field has to be there.
    if not can_edit(link, one, subject) or body is None or not any(field.name in form for field in fields):
        return None, {}
    return edited(fields, form, body)
