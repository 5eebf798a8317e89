"""Budgets as code declares them: what runs may use, and what happens at the limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from agentflow.clock import SECOND, Duration, microseconds
from agentflow.errors import DefinitionError
from agentflow.records import RunRecord
from agentflow.storage.terms import COUNTED, Terms, units
from agentflow.storage.usage import LONGEST

_LIMITS = ("usd", "tokens", "turns", "time", "active")
_TURNS = 50
_ENDS = ("stop", "fail", "ask", "wait")


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a run may use, with all the runs that it starts. It is looked at before each model call: what is too much is less than one call.

    Limits, one or more: `usd` (US dollars; a number, a `Decimal` or text), `tokens` (in and out together), `turns` (model calls), `time`
    (since the run began, with all its waits), `active` (work without waits). Where calls told no price, or no tokens, a limit of that
    cannot be kept: it counts as reached.

    `on_limit`: `"stop"` raises `BudgetExceeded` at the call, and an agent whose output is text ends with what it has said; `"fail"` ends
    agents, too, as failed with the code `budget`; `"ask"` asks people, who may write new limits into their answer: a plain yes grants
    everything once more, a no is as `"stop"`; `"wait"` sleeps until enough has left the `window`. `groups` and `expires` are those of
    `approve`.

    `per`: `"run"`; `"thread"` and `"key"`, all runs of its conversation and of its concurrency key; `"tag:vip"`, all runs with that tag. A
    run that has none of these is counted by itself. `window`: only what was used within that duration counts, up to 31 days; a key and a
    tag need one.

    Calls at the same time: one begins beside others only if all of them but the largest fit for certain; else it waits for them. So in all
    cases what is used in the end is less than the limit and the largest of those calls that were under way when the last one began, and
    `turns` are never exceeded. For certain is what a request limits itself to: text, with `max_tokens` (of an agent: in `settings`), at a
    known price for `usd`; and `most` of a `@step(kind="llm")`. A call that says none, or asks for more than text, counts as the largest:
    under a limit of tokens or USD one such call is under way at a time. What a call used counts when it is recorded, also of one that
    failed or was cancelled, as far as that was told; what died with its worker is not known to anybody.

    Where runs above bring a budget that counts the same (`per`, `window` and `on_limit`) the lowest of each limit holds, and the outermost
    says who is asked. A no, or no answer, refuses the runs that waited for it: those of a thread, until its next run asks anew; those of a
    key or a tag, for the `window`.
    Raises `DefinitionError` for what cannot be.

        support = Agent("support", model=…, budget=Budget(usd=0.50, turns=30, on_limit="ask"))
        tenant = Budget(usd=20, per="key", window="1d", on_limit="wait")
    """

    usd: float | str | Decimal | None = None
    tokens: int | None = None
    turns: int | None = None
    time: Duration | None = None
    active: Duration | None = None
    on_limit: Literal["stop", "fail", "ask", "wait"] = "stop"
    per: str = "run"
    window: Duration | None = None
    groups: Sequence[str] = ()
    expires: Duration | None = "7d"

    def __post_init__(self) -> None:
        limits = self.limits
        if not limits:
            raise DefinitionError("Budget() limits nothing.", hint="Give usd, tokens, turns, time or active.")
        if self.per not in ("run", "thread", "key") and not self.per.removeprefix("tag:") != self.per != "tag:":
            raise DefinitionError(f"Budget: per={self.per!r} is not understood.", hint='Say "run", "thread", "key" or "tag:vip".')
        if self.on_limit not in _ENDS:
            raise DefinitionError(f"Budget: on_limit={self.on_limit!r} is not understood.", hint=f"It is one of {', '.join(_ENDS)}.")
        if limits.keys() - set(COUNTED) and (self.per != "run" or self.window is not None):
            raise DefinitionError("Budget: time and active are of a run as a whole.", hint='Give them a budget of their own, per="run".')
        self._check_window()

    def _check_window(self) -> None:
        if self.window is None:
            if self.per == "key" or self.per.startswith("tag:") or self.on_limit == "wait":
                what = 'on_limit="wait"' if self.on_limit == "wait" else f"per={self.per!r}"
                raise DefinitionError(f"Budget: {what} needs a window.", hint='Give one: window="1d".')
        elif not SECOND <= microseconds(self.window) <= LONGEST:
            raise DefinitionError(f"Budget: window={self.window!r} is too short or too long.", hint="Give from a second to 31 days.")

    @property
    def limits(self) -> dict[str, int]:
        """The limits in whole numbers: nano-USD, tokens, calls, microseconds."""
        return {name: units(name, value) for name in _LIMITS if (value := getattr(self, name)) is not None}

    def terms(self, run: RunRecord) -> Terms:
        """As it holds for one run."""
        scope = self._scope(run)
        window = None if self.window is None else microseconds(self.window)
        return Terms(
            id=f"{scope}|{self.per}|{'' if window is None else window}|{self.on_limit}",
            scope=scope,
            owner=run.key,
            on_limit=self.on_limit,
            limits=self.limits,
            window=window,
            groups=list(self.groups),
            expires=None if self.expires is None else microseconds(self.expires),
        )

    def _scope(self, run: RunRecord) -> str:
        if self.per == "thread" and run.thread is not None:
            return f"thread:{run.thread}"
        if self.per == "key" and run.concurrency_key is not None:
            return f"key:{run.concurrency_key}"
        if self.per.startswith("tag:") and self.per.removeprefix("tag:") in run.tags:
            return self.per
        return f"run:{run.key}"


def turns_of(budgets: Sequence[Budget]) -> int | None:
    """How many requests an agent may make that says nothing of it: a budget that limits them does so instead."""
    return None if any(one.turns is not None and one.per == "run" for one in budgets) else _TURNS


Budgets = Budget | Sequence[Budget]
"""What `budget=` takes."""


def budgets_of(given: Budgets | None) -> tuple[Budget, ...]:
    """The budgets of an option. Raises `DefinitionError` for two that differ in their limits only."""
    budgets = () if given is None else (given,) if isinstance(given, Budget) else tuple(given)
    places = {(one.per, one.window, one.on_limit) for one in budgets}
    if len(places) < len(budgets):
        hint = "Write their limits into one Budget(...), or let them differ in per, window or on_limit."
        raise DefinitionError("Two budgets count the same and end the same.", hint=hint)
    return budgets
