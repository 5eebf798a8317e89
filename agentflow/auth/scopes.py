"""Scopes: what a browser token may do, as texts and as sets to ask."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from agentflow.engine.starting import thread_tag
from agentflow.errors import InvalidScope

READ_RUN = ("run:read:<id>", "run:read:tag:<tag>", "run:read:thread:<id>")
WRITE_RUN = ("run:write:<id>", "run:write:thread:<id>")
START = "task:start:<name>"
ANSWER = ("waitpoint:answer:<id>", "waitpoint:answer:run:<id>")
LINK = ("waitpoint:link:<id>", "waitpoint:link:run:<id>")
INDEX = "index:read"
GRANTS = ("grants:read", "grants:write")
READ_PROMPTS = "prompt:read"
WRITE_PROMPTS = "prompt:write"
RELEASE = "prompt:release:<environment>"
THOUGHTS = "thoughts"

_MOST = 100
"""Scopes of one token: it travels in a header, and proxies refuse long ones."""


class _Form(NamedTuple):
    prefix: str
    kind: str
    named: re.Pattern[str]


# A star alone is refused: whoever writes one means "all", and it would mean a thing of that name.
_NAME = re.compile(r"(?!\*\Z)(?! )[^\x00-\x1f\x7f]{1,256}(?<! )")
_RUN = re.compile(r"run_[0-9A-Za-z]{1,64}")
_WAITPOINT = re.compile(r"wp_[0-9A-Za-z]{1,64}")
# The longer prefixes first: `run:read:tag:x` is no run of the id `tag:x`.
_FORMS = (
    _Form("run:read:tag:", "tag", _NAME),
    _Form("run:read:thread:", "thread", _NAME),
    _Form("run:read:", "run", _RUN),
    _Form("run:write:thread:", "written thread", _NAME),
    _Form("run:write:", "written", _RUN),
    _Form("task:start:", "task", _NAME),
    _Form("waitpoint:answer:run:", "waiting", _RUN),
    _Form("waitpoint:answer:", "waitpoint", _WAITPOINT),
    _Form("waitpoint:link:run:", "linking", _RUN),
    _Form("waitpoint:link:", "link", _WAITPOINT),
    _Form("prompt:release:", "release", _NAME),
)
_PLAIN = (INDEX, THOUGHTS, *GRANTS, READ_PROMPTS, WRITE_PROMPTS)
_ALL = (*READ_RUN, *WRITE_RUN, START, *ANSWER, *LINK, THOUGHTS, INDEX, *GRANTS, READ_PROMPTS, WRITE_PROMPTS, RELEASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scopes:
    """What a token may do.

    `runs`, `tags`: the runs it reads; `written`, `written_tags`: those that it may cancel and send messages to; `tasks`: what it starts;
    `waitpoints`, and all of the runs in `waiting`: what it answers; `links` and `linking`: what it makes links for, for its subject;
    `grants`: whether it sees grants, `granting`: whether it gives them and takes them back;
    `prompts`: whether it sees prompts, `drafts`: whether it keeps versions of them, and moves what is not protected; `releases`: the
    environments in which it moves what is live, protected or not.
    """

    texts: tuple[str, ...]
    runs: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    written: frozenset[str] = frozenset()
    written_tags: frozenset[str] = frozenset()
    tasks: frozenset[str] = frozenset()
    waitpoints: frozenset[str] = frozenset()
    waiting: frozenset[str] = frozenset()
    links: frozenset[str] = frozenset()
    linking: frozenset[str] = frozenset()
    index: bool = False
    thoughts: bool = False
    grants: bool = False
    granting: bool = False
    prompts: bool = False
    drafts: bool = False
    releases: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Scopes:
        """Raises `InvalidScope` for a scope that is not known, or is not of its form, and where there is none, or too many."""
        if isinstance(texts, str) or not texts:
            raise InvalidScope("A token needs a list of scopes.", hint=_hint())
        if len(texts) > _MOST:
            raise InvalidScope(f"A token has at most {_MOST} scopes.", hint="Give the runs a tag, and the token run:read:tag:<tag>.")
        for text in texts:
            if _read(text) is None:
                raise InvalidScope(f"{text!r} is no scope.", hint=_hint(), scope=str(text))
        return cls.known(texts)

    @classmethod
    def known(cls, texts: Iterable[str]) -> Scopes:
        """What is known of these scopes; a scope that a newer version has minted grants nothing here."""
        pairs = {text: pair for text in texts if (pair := _read(text)) is not None}

        def named(*kinds: str) -> frozenset[str]:
            return frozenset(thread_tag(name) if kind.endswith("thread") else name for kind, name in pairs.values() if kind in kinds)

        return cls(
            texts=tuple(pairs),
            runs=named("run"),
            tags=named("tag", "thread"),
            written=named("written"),
            written_tags=named("written thread"),
            tasks=named("task"),
            waitpoints=named("waitpoint"),
            waiting=named("waiting"),
            links=named("link"),
            linking=named("linking"),
            index=INDEX in pairs,
            thoughts=THOUGHTS in pairs,
            grants=GRANTS[0] in pairs,
            granting=GRANTS[1] in pairs,
            prompts=not {READ_PROMPTS, WRITE_PROMPTS}.isdisjoint(pairs) or bool(named("release")),
            drafts=WRITE_PROMPTS in pairs,
            releases=named("release"),
        )


def _read(text: object) -> tuple[str, str] | None:
    """Kind and name of a scope, or None for what is no scope."""
    if not isinstance(text, str):
        return None
    if text in _PLAIN:
        return text, ""
    for form in _FORMS:
        if text.startswith(form.prefix):
            name = text.removeprefix(form.prefix)
            return (form.kind, name) if form.named.fullmatch(name) else None
    return None


def _hint() -> str:
    return f"There are {', '.join(_ALL)}."
