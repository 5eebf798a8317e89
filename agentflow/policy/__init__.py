"""Rules for the calls that models ask for: which are never made, about which people are always asked, which need nobody.

    policy = Policy()
    policy.deny("shell", args={"cmd": regex(r"rm -rf /")}, reason="Nothing is wiped.")
    policy.always_ask("wire_transfer", args={"amount": at_least(1_000)}, need=2, groups=["finance"])
    policy.allow("read_file", args={"path": prefix("/tmp/")})
    app = Agentflow([...], policy=policy)

    assert policy.judge("shell", {"cmd": "rm -rf /"}).effect == "deny"

Pure: a rule is data, so it can be looked at, stored with a question, and tried in a test without an engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from types import SimpleNamespace
from typing import Any, Literal, Protocol, Self, TypedDict, Unpack, cast

from agentflow.errors import DefinitionError
from agentflow.policy.matching import Matcher, at_least, at_most, fits, one_of, prefix, regex
from agentflow.serde import dumps

Effect = Literal["deny", "ask", "run"]
"""What becomes of a call: it is not made, people are asked, or it runs."""

Risk = Literal["low", "medium", "high", "critical"]
RISKS: tuple[Risk, ...] = ("low", "medium", "high", "critical")
"""From the least to the greatest."""

FORBIDDEN = "The rules forbid it."
"""Why a call is denied by a rule that gives no reason."""

__all__ = ["Effect", "Judgement", "Matcher", "Policy", "Rule", "at_least", "at_most", "one_of", "prefix", "regex"]


class Stricter(TypedDict, total=False):
    """Who is to decide about a call that a rule has people asked about; as in `Approval`."""

    need: int
    users: Sequence[str]
    groups: Sequence[str]
    risk: Risk


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: `tool` is a name, or the beginning of one and a star; `args` what the arguments must be, by name, with dots for parts."""

    effect: Literal["deny", "ask", "allow"]
    tool: str
    args: Mapping[str, Matcher] = field(default_factory=dict[str, Matcher])
    reason: str | None = None
    asking: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def concerns(self, tool: str) -> bool:
        """Whether it is about that tool."""
        return tool.startswith(self.tool[:-1]) if self.tool.endswith("*") else tool == self.tool

    def holds(self, arguments: Mapping[str, Any]) -> bool:
        """Whether it is about such a call. Raises whatever its matchers raise."""
        return fits(self.args, arguments, closely=self.effect == "allow")

    def told(self) -> dict[str, Any]:
        """As JSON."""
        args = {name: matcher.told() for name, matcher in self.args.items()}
        found = {"effect": self.effect, "tool": self.tool, "args": args, "reason": self.reason, "asking": dict(self.asking)}
        return {name: value for name, value in found.items() if value}

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Rule:
        """From JSON."""
        args = {name: Matcher.of(one) for name, one in told.get("args", {}).items()}
        return cls(told["effect"], told["tool"], args, told.get("reason"), told.get("asking", {}))

    def __str__(self) -> str:
        where = f" where {dumps({name: matcher.told() for name, matcher in self.args.items()})}" if self.args else ""
        return f"{self.effect} {self.tool}{where}"


class Asks(Protocol):
    """An `Approval`, as far as rules look at it."""

    @property
    def when(self) -> Callable[[Any], bool] | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What becomes of a call, and `why`: the `rule` that it falls under, if any, in the `version` of the rules that was asked.

    `asking`: what the rule says of who decides. `open`: people are asked because the tool says so, and a grant may stand for them.
    """

    effect: Effect
    why: str
    version: str
    rule: str | None = None
    asking: Mapping[str, Any] = field(default_factory=dict[str, Any])
    open: bool = False

    @property
    def required(self) -> bool:
        """Whether people must agree."""
        return self.effect == "ask"

    def told(self) -> dict[str, Any]:
        """As the journal has it."""
        return {
            "required": self.required,
            "effect": self.effect,
            "rule": self.rule,
            "version": self.version,
            "why": self.why,
            "asking": dict(self.asking),
            "open": self.open,
        }

    @classmethod
    def of(cls, told: Any) -> Judgement:
        """From the journal; there, a yes or a no alone is what was recorded before there were rules."""
        if isinstance(told, bool):
            return cls(effect="ask" if told else "run", why="The tool says so.", version="", open=told)
        found: dict[str, Any] = {name: value for name, value in told.items() if name != "required"}
        return cls(**found)


class Policy:
    """Rules for the calls of models. Deny counts before always-ask, that before allow and grants, and these before the tool's `approval`.

    A rule that cannot judge the arguments of a call has people asked. A call is judged once: what was found is recorded in its run, and a
    change of the rules changes it for later calls only.

        policy = Policy()
        policy.deny("shell", args={"cmd": regex(r"rm -rf /")})
        policy.always_ask("wire_transfer", need=2, groups=["finance"])
        policy.allow("read_file")
    """

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._rules = list(rules)
        self._version: str | None = None

    def deny(self, *tools: str, args: Mapping[str, Any] | None = None, reason: str | None = None) -> Self:
        """Never make such calls of these tools; the model is told so, with the `reason`.

        A name may end with a star. `args`: what the arguments must be, by name, each a matcher or a plain value; without them every call.
        """
        return self._add("deny", tools, args, reason=reason)

    def always_ask(self, *tools: str, args: Mapping[str, Any] | None = None, **asking: Unpack[Stricter]) -> Self:
        """Ask people about such calls, whatever the tool and grants say. `need`, `users`, `groups` and `risk` are those of `Approval`.

        Raises `DefinitionError` for what it does not know, and for a need that nobody can meet.
        """
        users, need, risk = asking.get("users", ()), asking.get("need", 1), asking.get("risk")
        unknown = asking.keys() - Stricter.__annotations__.keys()
        if unknown or need < 1 or (users and not asking.get("groups") and len(set(users)) < need) or risk not in (None, *RISKS):
            hint = f"It knows {', '.join(Stricter.__annotations__)}; as many people as it needs must be able to decide."
            raise DefinitionError(f"always_ask({', '.join(tools)}) cannot ask {dict(asking)}.", hint=hint)
        lists = {name: list(cast("Sequence[str]", value)) for name, value in asking.items() if name in ("users", "groups")}
        return self._add("ask", tools, args, asking={**asking, **lists})

    def allow(self, *tools: str, args: Mapping[str, Any] | None = None) -> Self:
        """Let such calls run without asking, though the tool says to ask. Nothing is let through that a rule cannot judge."""
        return self._add("allow", tools, args)

    def _add(self, effect: Literal["deny", "ask", "allow"], tools: Sequence[str], args: Mapping[str, Any] | None, **more: Any) -> Self:
        if not tools:
            raise DefinitionError(f"A rule to {effect} names no tool.", hint='Name one, or several: policy.deny("shell").')
        matchers = {name: value if isinstance(value, Matcher) else Matcher.of({"is": value}) for name, value in (args or {}).items()}
        self._rules += [Rule(effect, tool, matchers, **more) for tool in tools]
        self._version = None
        return self

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All rules, in the order in which they were given."""
        return tuple(self._rules)

    @property
    def version(self) -> str:
        """A hash of the rules: what a judgement is recorded with."""
        if self._version is None:
            self._version = blake2b(dumps([rule.told() for rule in self._rules]).encode(), digest_size=8).hexdigest()
        return self._version

    def joined(self, other: Policy | None) -> Policy:
        """The rules of both."""
        if other is None or not other.rules:
            return self
        return Policy([*self._rules, *other.rules]) if self._rules else other

    def concerning(self, tool: str) -> list[dict[str, Any]]:
        """The rules about a tool that forbid or ask, as JSON: a question keeps them, so that edits can be judged anywhere."""
        return [rule.told() for rule in self._rules if rule.effect != "allow" and rule.concerns(tool)]

    def judge(self, tool: str, args: Mapping[str, Any], *, approval: Asks | bool | None = None, typed: Any = None) -> Judgement:
        """What would become of a call, and why. `approval` is that of the tool; `typed`: the arguments as its `when` sees them.

        >>> policy.judge("refund", {"cents": 20_000}, approval=Approval(when=lambda a: a.cents > 10_000)).required
        True
        """
        version, failed = self.version, list[str]()
        denied = self._found("deny", tool, args, failed)
        if denied:
            told = denied[0].reason or FORBIDDEN
            return Judgement(effect="deny", why=told, version=version, rule=str(denied[0]))
        asked = self._found("ask", tool, args, failed)
        allowed = self._found("allow", tool, args, failed)
        if asked:
            why = f"A rule cannot judge it: {failed[0]}" if failed else "The rules have people asked."
            return Judgement(effect="ask", why=why, version=version, rule=str(asked[0]), asking=_strictest(asked))
        if failed:
            return Judgement(effect="ask", why=f"A rule cannot judge it: {failed[0]}", version=version)
        if allowed:
            return Judgement(effect="run", why="The rules let it through.", version=version, rule=str(allowed[0]))
        return _by_the_tool(approval, SimpleNamespace(**args) if typed is None else typed, version)

    def _found(self, effect: str, tool: str, args: Mapping[str, Any], failed: list[str]) -> list[Rule]:
        found: list[Rule] = []
        for rule in self._rules:
            if rule.effect == effect and rule.concerns(tool):
                try:
                    found += [rule] if rule.holds(args) else []
                except (TypeError, ValueError, RecursionError) as error:
                    failed.append(f"{rule}: {error}")
                    found += [rule] if effect == "ask" else []
        return found


NO_RULES = Policy()
"""Where nobody has said anything."""


def _by_the_tool(approval: Asks | bool | None, typed: Any, version: str) -> Judgement:
    if approval is None or approval is False:
        return Judgement(effect="run", why="Nothing asks for more.", version=version)
    if approval is True or approval.when is None:
        return Judgement(effect="ask", why="The tool says so.", version=version, open=True)
    try:
        wanted = bool(approval.when(typed))
    except Exception as error:  # noqa: BLE001 - users' code: what cannot be judged is asked about
        return Judgement(effect="ask", why=f"The tool's `when` failed: {type(error).__name__}: {error}", version=version)
    why = "The tool says so of these arguments."
    return Judgement(effect="ask" if wanted else "run", why=why, version=version, open=wanted)


def _strictest(rules: Sequence[Rule]) -> dict[str, Any]:
    """Of several rules, the first that names people says who; of number and risk the greatest count."""
    asking: dict[str, Any] = {}
    named = next((rule.asking for rule in rules if rule.asking.get("users") or rule.asking.get("groups")), dict[str, Any]())
    asking |= {name: named[name] for name in ("users", "groups") if named.get(name)}
    need = max(rule.asking.get("need", 1) for rule in rules)
    risk = max((rule.asking["risk"] for rule in rules if rule.asking.get("risk")), key=RISKS.index, default=None)
    return asking | ({"need": need} if need > 1 else {}) | ({"risk": risk} if risk else {})
