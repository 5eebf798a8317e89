"""What can be done with grants from outside of runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from agentflow.clock import SECOND, Clock, Duration, microseconds
from agentflow.database.port import Database
from agentflow.errors import DefinitionError, WaitpointError
from agentflow.policy.matching import Matcher, exact, is_shell, with_defaults
from agentflow.records import GrantRecord, WaitKind, WaitpointRecord, new_id
from agentflow.serde import dumps, loads
from agentflow.storage import granting, runs, waitpoints
from agentflow.storage.granting import NewGrant
from agentflow.storage.policy import Voter, is_reserved, named

Scope = Literal["run", "thread", "agent", "all"]
"""Where a grant counts."""

LIFE = "1h"
LONGEST = 30 * 86_400 * SECOND


class InvalidGrant(WaitpointError):
    """No such grant can be given."""

    code = "invalid_grant"
    http_status = 422


@dataclass(frozen=True, slots=True, kw_only=True)
class Always:
    """A yes that stands: in what `scope`, for how long (a duration, 30 days at most), and for how many calls at most."""

    scope: Scope = "run"
    expires: Duration = LIFE
    max_uses: int | None = None

    def told(self) -> dict[str, Any]:
        """What of it is kept with the vote."""
        return {"scope": self.scope, "expires": microseconds(self.expires) // SECOND, "max_uses": self.max_uses}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitting:
    """Which calls a grant stands for: of `tool`, in the scope of `scope_id` (None where the question says), as `match` says."""

    tool: str
    scope_id: str | None
    match: Mapping[str, Any]


class Grants:
    """`app.grants`: standing yeses to calls of tools. Deny and always-ask rules win over them."""

    def __init__(self, database: Database, clock: Clock, known: Callable[[str | Voter], Awaitable[Voter]]) -> None:
        self._database = database
        self._clock = clock
        self._known = known

    async def create(
        self,
        call: str,
        *,
        by: str | Voter,
        always: Always | None = None,
        scope_id: str | None = None,
        match: Mapping[str, Any] | None = None,
        reason: str | None = None,
    ) -> GrantRecord:
        """Give a grant: to the tool named `call`, or with the id of a question about one (`wp_…`) to calls like the one that it is about.

        `match` says which calls: `{"digest": …}` (see `digest`), or `{"args": {"path": {"prefix": "/tmp/"}, "cents": {"max": 50}}}`; of a
        question, by default, those with just its arguments. Where the risk is high, and of tools that carry out what a text says, a grant
        counts for exact arguments only. `always` says where, how long and how often it counts: by default for an hour in the run of the
        question. `scope_id` names the run, thread or agent, where the question does not.

        A grant counts where the same people would be asked: those of its question, which whoever gives it may decide about; one that is
        given to a tool by its name, where nobody is named.

        Raises `InvalidGrant`, `WaitpointNotFound`, `RunNotFound`, `NotEligible`, and for a question that has ended with anything but a yes
        `WaitpointAlreadyAnswered` or `WaitpointTimedOut`.

        >>> await app.grants.create(question.id, by="maria", always=Always(scope="thread", max_uses=20))
        """
        wish, now, who = always or Always(), self._clock.now(), await self._known(by)
        asked = await self._database.read(waitpoints.get(call)) if call.startswith("wp_") else None
        if asked is None:
            if match is None:
                raise InvalidGrant("A grant says for which calls it is.", hint='Give match={"args": {"path": {"prefix": "/tmp/"}}}.')
            fitting = Fitting(tool=call, scope_id=scope_id, match=match)
        else:
            fitting = await self.fitting(asked, wish, None, match)
        new = self.new(fitting, wish, by=who.name, reason=reason, asked=asked, now=now)
        return await self._database.transact(granting.give(new, who, now))

    async def fitting(
        self, asked: WaitpointRecord, wish: Always, edits: Mapping[str, Any] | None, match: Mapping[str, Any] | None = None
    ) -> Fitting:
        """Which calls a grant stands for that is given with a question. Raises `InvalidGrant`."""
        subject = loads(asked.subject)
        if asked.kind is not WaitKind.APPROVAL or subject.get("kind") != "tool" or asked.run_id is None:
            raise InvalidGrant(f"{asked.id} is not about the call of a tool.", hint="Answer it as it is.")
        if subject.get("need", 1) > 1:
            raise InvalidGrant(f"{asked.id} needs {subject['need']} people each time.", hint="Answer it without `always`.")
        given = with_defaults(loads(asked.schema or "{}"), edits or subject.get("body") or {})
        if match is not None and "args" in match and subject.get("risk") in ("high", "critical"):
            raise InvalidGrant(
                f"The risk of {asked.id} is {subject['risk']}: a grant is for just its arguments.", hint="Leave out `match`."
            )
        named = {"run": asked.run_id, "agent": subject.get("agent"), "all": ""}
        if wish.scope == "thread":
            named["thread"] = (await self._database.read(runs.get(asked.run_id))).thread
        tool = str(subject["tool"])
        return Fitting(tool=tool, scope_id=named[wish.scope], match=match or {"digest": exact(tool, given)})

    def new(self, fitting: Fitting, wish: Always, *, by: str, reason: str | None, asked: WaitpointRecord | None, now: int) -> NewGrant:
        """A grant to be stored. Raises `InvalidGrant` for what cannot be."""
        if is_reserved(by):
            raise InvalidGrant(f"{by} cannot give a grant.", hint="A person has to.")
        return NewGrant(
            id=new_id("grant", now),
            scope=wish.scope,
            scope_id=_named(wish, fitting),
            tool=fitting.tool,
            fits=dumps(_checked(fitting)),
            granted_by=by,
            expires_at=now + _life(wish),
            waitpoint=None if asked is None else asked.id,
            reason=reason,
            max_uses=_most(wish),
        )

    async def list(self, *, tool: str | None = None, every: bool = False, limit: int = 100) -> Sequence[GrantRecord]:
        """Grants, newest first: those that count now; `every` one with those that are over."""
        return await self._database.read(granting.newest(None if every else self._clock.now(), tool, limit))

    async def get(self, grant_id: str) -> GrantRecord:
        """A grant. Raises `GrantNotFound`."""
        return await self._database.read(granting.get(grant_id))

    async def revoke(self, grant_id: str, *, by: str | Voter) -> GrantRecord:
        """Take a grant back, at once; again, it changes nothing. Raises `GrantNotFound`."""
        return await self._database.transact(granting.revoke(grant_id, named(by), self._clock.now()))


def _named(wish: Always, fitting: Fitting) -> str:
    if wish.scope not in get_args(Scope):
        raise InvalidGrant(f"scope={wish.scope!r} is not known.", hint=f"Give one of {get_args(Scope)}.")
    if wish.scope == "all":
        return ""
    if not fitting.scope_id:
        hint = "Name it as scope_id." if wish.scope != "thread" else "A run without a thread has none: choose another scope."
        raise InvalidGrant(f"In which {wish.scope} is it to count?", hint=hint)
    return fitting.scope_id


def _life(wish: Always) -> int:
    try:
        life = microseconds(wish.expires)
    except DefinitionError as error:
        raise InvalidGrant(error.message, hint=error.hint) from None
    if not 0 < life <= LONGEST:
        raise InvalidGrant(f"A grant cannot count for {wish.expires!r}.", hint="It counts for 30 days at most: give another one then.")
    return life


def _most(wish: Always) -> int | None:
    if wish.max_uses is not None and wish.max_uses < 1:
        raise InvalidGrant(f"max_uses={wish.max_uses} is no number of uses.", hint="Give 1 or more, or nothing.")
    return wish.max_uses


def _checked(fitting: Fitting) -> Mapping[str, Any]:
    """What a grant says of calls, as it is stored."""
    wanted = fitting.match
    args = cast("Mapping[str, Any]", wanted["args"]) if isinstance(wanted.get("args"), Mapping) else dict[str, Any]()
    if len(wanted) != 1 or not (args or isinstance(wanted.get("digest"), str)):
        hint = 'Give {"args": {"path": {"prefix": "/tmp/"}}}: at least one argument. For every call write a rule: policy.allow(…).'
        raise InvalidGrant(f"match={dict(wanted)!r} does not say for which calls.", hint=hint)
    if not args:
        return wanted
    if is_shell(fitting.tool, args):
        hint = "No part of a command tells what it does. Grant it from its question, or write a rule: policy.allow(…)."
        raise InvalidGrant(f"{fitting.tool} carries out what a text says: a grant is for exact arguments.", hint=hint)
    try:
        tests = {name: Matcher.of(one).told() for name, one in args.items()}
    except DefinitionError as error:
        raise InvalidGrant(error.message, hint=error.hint) from None
    if any("regex" in one for one in tests.values()):
        # What a person writes is tried by every worker, and a pattern may take for ever.
        hint = "Give a prefix, values or bounds, or write a rule: policy.allow(…)."
        raise InvalidGrant("A grant says with no regex for which calls it is.", hint=hint)
    return {"args": tests}
