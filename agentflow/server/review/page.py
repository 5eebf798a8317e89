"""What the review page says, as HTML. Whatever comes from people or models is escaped; there is no script, and nothing is loaded."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from importlib.resources import files
from string import Template
from typing import Any, cast

from starlette.responses import HTMLResponse

from agentflow.app.fields import fields_of
from agentflow.app.waitpoints import Vote
from agentflow.clock import SECOND
from agentflow.records import WaitKind, WaitpointRecord, WaitState
from agentflow.serde import decode_failure, loads
from agentflow.server.review import outcome
from agentflow.server.review.fields import shown
from agentflow.server.review.marks import exact, marked
from agentflow.storage.links import LinkRecord
from agentflow.storage.policy import Policy, person_of

_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What is shown to whom. `now` in microseconds since 1970; `checks` are hidden fields of the form."""

    link: LinkRecord
    waitpoint: WaitpointRecord
    votes: Sequence[Vote]
    now: int
    checks: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What was sent and could not be taken: the value, the reason that was given, what is wrong where, and what is wrong with all of it."""

    value: Any = None
    reason: str = ""
    problems: Mapping[str, str] = field(default_factory=dict[str, str])
    message: str = ""


BLANK = Filled()


def notice(status: int, title: str, text: str, headers: Mapping[str, str] | None = None) -> HTMLResponse:
    """A page that says one thing, and knows of no question."""
    return _page(status, title, f"<h1>{marked(title)}</h1><p>{marked(text)}</p>", headers)


def ended(status: int, review: Review) -> HTMLResponse:
    """The page of a question that has ended: how, and by whom."""
    one = review.waitpoint
    title, by = _outcome(one)
    when = "" if one.ended_at is None else f" {_moment(one.ended_at)}"
    told = f"<p>{marked(title)}{f' by {marked(by, lines=False)}' if by else ''}{when}.</p>{_reason(one)}{_changes(one)}"
    return _page(status, title, f"<h1>{_title(one)}</h1>{told}{_votes(review.votes, 'What people said')}")


def question(status: int, review: Review, filled: Filled = BLANK) -> HTMLResponse:
    """The page of an open question, with its form."""
    one, subject = review.waitpoint, loads(review.waitpoint.subject)
    above = f'<p class="wrong" role="alert">{marked(filled.message)}</p>' if filled.message else ""
    parts = [f"<h1>{_title(one)}</h1>", above, _facts(review, subject), _asked(subject), _votes(review.votes)]
    said = next((vote for vote in reversed(review.votes) if vote.counted and vote.actor == review.link.actor.name), None)
    if said is not None and said.choice in ("approve", "deny"):
        parts.append(
            f'<p role="status">You said {"yes" if said.choice == "approve" else "no"} {_moment(said.at)}. More people are needed.</p>'
        )
    form = _approval(review, subject, filled) if one.kind is WaitKind.APPROVAL else _form(review, filled)
    return _page(status, str(subject.get("title") or "A question"), "".join(parts) + form)


def _title(one: WaitpointRecord) -> str:
    return marked(str(loads(one.subject).get("title") or "A question"))


def _facts(review: Review, subject: Mapping[str, Any]) -> str:
    one, policy = review.waitpoint, Policy.of(subject)
    risk = str(subject.get("risk") or "")
    rows = [("You are", marked(review.link.actor.name, lines=False))]
    if risk:
        rows.append(("Risk", f'<span class="risk-{marked(risk)}">{marked(risk)}</span>'))
    rows += [(name.capitalize(), marked(str(subject[name]), lines=False)) for name in ("agent", "tool") if subject.get(name)]
    if one.times > 1:
        rows.append(("Asked", f"{one.times} times: this page decides about one of them"))
    if policy.need > 1:
        yes = policy.need, len({person_of(vote.actor) for vote in review.votes if vote.counted and vote.choice == "approve"})
        rows.append(("Needed", f"{yes[0]} people, {yes[1]} said yes"))
    if one.due_at is not None:
        rows.append(("Ends", f"{_moment(one.due_at)} ({_left(one.due_at - review.now)}); silence is {_silence(one, subject)}"))
    return f"<section><dl>{''.join(f'<dt>{name}</dt><dd>{value}</dd>' for name, value in rows)}</dl></section>"


def _silence(one: WaitpointRecord, subject: Mapping[str, Any]) -> str:
    if one.kind is WaitKind.INPUT:
        return "the default" if "default" in subject else "no answer"
    return {"approve": "a yes", "fail": "a failure"}.get(str(subject.get("on_timeout")), "a no")


def _asked(subject: Mapping[str, Any]) -> str:
    if outcome.is_outcome(subject):
        return outcome.cut_off(subject)
    body, problem = subject.get("body"), subject.get("problem")
    told = f'<p class="wrong">{marked(str(problem))}</p>' if problem else ""
    if body is None:
        return told
    text = marked(body) if isinstance(body, str) else exact(body)
    title = "What will run, exactly" if subject.get("kind") == "tool" else "What this is about"
    return f"{told}<section><h2>{title}</h2><pre>{text}</pre></section>"


def _votes(votes: Sequence[Vote], title: str = "So far") -> str:
    words = {"approve": "said yes", "deny": "said no", "answer": "answered", "reassign": "gave it to others"}
    lines = [_vote(vote, words[vote.choice]) for vote in votes if vote.counted and vote.choice in words]
    return f"<section><h2>{title}</h2><ul>{''.join(lines)}</ul></section>" if lines else ""


def _vote(vote: Vote, word: str) -> str:
    reason = vote.said.get("reason") if vote.choice in ("approve", "deny") else None
    why = f": {marked(str(reason))}" if reason else ""
    return f"<li>{marked(vote.actor, lines=False)} {word} {_moment(vote.at)}{why}</li>"


def _approval(review: Review, subject: Mapping[str, Any], filled: Filled) -> str:
    choices, body = review.link.choices, arguments(subject)
    edits, buttons = "", _buttons(choices)
    if outcome.is_outcome(subject):
        edits, buttons = outcome.asked(review.waitpoint, filled.value, filled.problems), outcome.buttons(choices)
    elif can_edit(review.link, review.waitpoint, subject) and body is not None:
        fields = fields_of(loads(review.waitpoint.schema or "{}"))
        value: Any = body if filled.value is None else filled.value
        opened = " open" if filled.problems else ""
        edits = f"<details{opened}><summary>Change what will run</summary>{shown(fields, value, filled.problems)}</details>"
    reason = '<div class="field"><label for="reason">Why <span class="about">(optional)</span></label>'
    reason += f'<textarea id="reason" name="reason" rows="2" maxlength="4000">\n{marked(filled.reason)}</textarea></div>'
    return _sent(review, f"{edits}{reason}", buttons)


def _buttons(choices: Sequence[str]) -> str:
    yes = '<button class="yes" name="choice" value="approve">Approve</button>' if "approve" in choices else ""
    return yes + ('<button class="no" name="choice" value="deny">Deny</button>' if "deny" in choices else "")


def _form(review: Review, filled: Filled) -> str:
    subject = loads(review.waitpoint.subject)
    value = subject.get("default") if filled.value is None else filled.value
    fields = fields_of(loads(review.waitpoint.schema or "{}"))
    return _sent(review, shown(fields, value, filled.problems), '<button class="yes" name="choice" value="answer">Send</button>')


def _sent(review: Review, fields: str, buttons: str) -> str:
    hidden = "".join(f'<input type="hidden" name="{name}" value="{marked(value)}">' for name, value in review.checks.items())
    return f'<form method="post" accept-charset="utf-8" novalidate>{hidden}{fields}<div class="buttons">{buttons}</div></form>'


def arguments(subject: Mapping[str, Any]) -> dict[str, Any] | None:
    """What runs, where that is named values."""
    body = subject.get("body")
    return cast("dict[str, Any]", body) if isinstance(body, dict) else None


def can_edit(link: LinkRecord, one: WaitpointRecord, subject: Mapping[str, Any]) -> bool:
    """Whether a person may change what runs, on this page."""
    return "edit" in link.choices and one.schema is not None and subject.get("can_edit") is not False


def _outcome(one: WaitpointRecord) -> tuple[str, str | None]:
    if one.state is WaitState.TIMED_OUT:
        return "Nobody answered in time", None
    if one.state is not WaitState.ANSWERED:
        return "It was taken back", one.answered_by
    if one.kind is not WaitKind.APPROVAL:
        return "Answered", one.answered_by
    answer, subject = loads(one.answer or "{}"), loads(one.subject)
    if outcome.is_outcome(subject):
        return outcome.said(answer), one.answered_by
    if answer.get("approved") is not True:
        return "Denied", one.answered_by
    return ("Approved with changes" if answer.get("edits") else "Approved"), one.answered_by


def _reason(one: WaitpointRecord) -> str:
    if one.answer is None or one.answer.startswith("@"):
        return ""
    if one.state is WaitState.CANCELLED:
        return f"<p>{marked(decode_failure(one.answer).message)}</p>"
    reason = loads(one.answer).get("reason") if one.kind is WaitKind.APPROVAL and one.state is WaitState.ANSWERED else None
    return f"<p>{marked(str(reason))}</p>" if reason else ""


def _changes(one: WaitpointRecord) -> str:
    """What was made of what was asked."""
    if one.kind is not WaitKind.APPROVAL or one.state is not WaitState.ANSWERED or one.answer is None or one.answer.startswith("@"):
        return ""
    edits, told = loads(one.answer).get("edits"), loads(one.subject)
    title = "What was said" if outcome.is_outcome(told) else "As it was changed"
    return f"<section><h2>{title}</h2><pre>{exact(edits)}</pre></section>" if edits else ""


def _moment(micros: int) -> str:
    when = datetime.fromtimestamp(micros // SECOND, UTC)
    return f'<time datetime="{when:%Y-%m-%dT%H:%M:%SZ}">{when:%Y-%m-%d %H:%M} UTC</time>'


def _left(micros: int) -> str:
    seconds = max(0, micros // SECOND)
    for size, word in _UNITS:
        if seconds >= size:
            count = seconds // size
            return f"in {count} {word}{'' if count == 1 else 's'}"
    return "in less than a minute"


@cache
def _files() -> tuple[Template, str, str]:
    """The page, its style, and the hash by which the style is let through: no other is."""
    folder = files("agentflow.server.review")
    style = folder.joinpath("page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    return Template(folder.joinpath("page.html").read_text(encoding="utf-8")), style, digest


def _page(status: int, title: str, body: str, headers: Mapping[str, str] | None = None) -> HTMLResponse:
    template, style, digest = _files()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    guards = {
        "content-security-policy": policy,
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "x-robots-tag": "noindex, nofollow",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
    }
    text = template.substitute(title=marked(title, lines=False), style=style, body=body)
    return HTMLResponse(text, status, headers=guards | dict(headers or {}))
