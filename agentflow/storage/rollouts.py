"""Several versions of a prompt side by side: who takes part, with which shares at a time, and which version somebody gets. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from math import inf, log
from typing import Any, Literal, Self, cast

from agentflow.database.port import Row, Transaction
from agentflow.errors import PromptError, RegistryUnreadable
from agentflow.serde import dumps, loads
from agentflow.storage.statements import SQL

Sticky = Literal["run", "thread", "key"]
STICKY = ("run", "thread", "key")
METRICS = ("error_rate", "cost", "latency", "first_token")
CONDITIONS = ("tasks", "tags", "keys", "threads")
"""What the runs are asked for that take part, beside the variables of the prompt."""
NUMBERS = 10**9
"""No prompt has so many versions, and a database no number that is much larger."""
Metric = Literal["error_rate", "cost", "latency", "first_token"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Whom a rollout chooses for: the key that the caller gave, its thread, and the run at the top of its family.

    `task` and `tags` are those of the run that asks first in its family; `variables` are JSON values that the prompt is filled with.
    """

    key: str | None
    thread: str | None
    root: str
    task: str | None = None
    tags: tuple[str, ...] = ()
    variables: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def sticks(self, sticky: str) -> str:
        """What keeps the choice: the run, the thread or the key, or what there is instead of it."""
        if sticky == "key" and self.key is not None:
            return self.key
        return self.thread if sticky != "run" and self.thread is not None else self.root

    def meets(self, conditions: Mapping[str, Any]) -> bool:
        """Whether all conditions hold; one holds where any of what it names is there."""
        mine = {"tasks": {self.task}, "tags": set(self.tags), "keys": {self.key}, "threads": {self.thread}}
        if any(mine[name].isdisjoint(wanted) for name, wanted in conditions.items() if name != "variables"):
            return False
        return all(self.variables.get(name) in wanted for name, wanted in conditions.get("variables", {}).items())


@dataclass(frozen=True, slots=True)
class Guard:
    """Gives all to the baseline of a rollout once the other versions are worse, by more than chance.

    `metric` is error_rate, cost, latency or first_token, of the model calls that the versions made since the rollout began. `max_increase`
    is what they may be worse: for the error rate in points (0.02: 4 % for 2 %), else as a share of the baseline's mean (0.2: a fifth).
    Nothing is said before each side has `min_calls`. On a breach the baseline is pinned (pause), or what held before the rollout holds
    again (rollback). On a ramp that ends with 1 it ends, too: nobody is left to compare with. Raises `PromptError` for what cannot be.

    >>> await app.prompts.rollout("support", weights={3: 0.9, 5: 0.1}, baseline=3, guard=Guard("error_rate", max_increase=0.02), actor="ci")
    """

    metric: Metric
    max_increase: float = 0.0
    min_calls: int = 200
    on_breach: Literal["pause", "rollback"] = "pause"

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise PromptError(f"{self.metric!r} is nothing to watch.", hint=f"Say one of {', '.join(METRICS)}.")
        if self.on_breach not in ("pause", "rollback"):
            raise PromptError(f"on_breach={self.on_breach!r} is not understood.", hint="Say pause or rollback.")
        if not 0 <= self.max_increase < inf or self.min_calls < 2:
            raise PromptError(f"{self} cannot be held.", hint="Give max_increase from 0 and min_calls from 2.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How several versions hold: the weight of each, and what keeps a version (`sticky`: run, thread or key).

    `baseline` is the version of those who do not meet the `conditions` (of tasks, tags, keys, threads and variables, each a list of which
    one is enough). `ramp` has steps: microseconds since the rollout began, and the share of all versions but the baseline from then on; the
    weights say only how they divide it. `guards` give all to the baseline. Raises `PromptError` for what cannot be.
    """

    weights: Mapping[int, float] = field(default_factory=dict[int, float])
    sticky: Sticky = "run"
    baseline: int | None = None
    conditions: Mapping[str, Any] = field(default_factory=dict[str, Any])
    ramp: tuple[tuple[int, float], ...] = ()
    guards: tuple[Guard, ...] = ()

    def __post_init__(self) -> None:
        weights = self.weights.values()
        if not weights or any(not 0 <= one < inf for one in weights) or sum(weights) <= 0:
            raise PromptError(f"{dict(self.weights)} are no weights.", hint="Give a number for each version: {3: 0.9, 5: 0.1}.")
        if odd := [one for one in self.versions if not 0 < one < NUMBERS]:
            raise PromptError(f"{odd[0]} is no version.", hint="Say its number: {3: 0.9, 5: 0.1}.")
        if self.sticky not in STICKY:
            raise PromptError(f"sticky={self.sticky!r} is not understood.", hint="Say run, thread or key.")
        if self.baseline is None and (self.conditions or self.ramp or self.guards):
            raise PromptError("There is no baseline.", hint="Say which version all others get: baseline=3.")
        _check_conditions(self.conditions)
        _check_ramp(self)
        if self.guards and all(self.at(after).get(self.baseline or 0, 0) <= 0 for after in (0, *(after for after, _ in self.ramp))):
            hint = "Give it a weight, {3: 0.9, 5: 0.1} with baseline=3, or a ramp."
            raise PromptError("A guard can never speak where the baseline has no share.", hint=hint)

    @property
    def versions(self) -> Sequence[int]:
        """All versions that somebody may get."""
        return sorted({*self.weights, *(() if self.baseline is None else (self.baseline,))})

    @property
    def candidates(self) -> Sequence[int]:
        """All versions but the baseline."""
        return [one for one in self.versions if one != self.baseline]

    def at(self, since: int) -> Mapping[int, float]:
        """The weights so many microseconds after the rollout began.

        Shares of a ramp only grow, so a key that has gone to another version does not come back: of the scores that decide, those of the
        others only rise then, all by one factor, and that of the baseline only falls.
        """
        if not self.ramp or self.baseline is None:
            return self.weights
        share = next((share for after, share in reversed(self.ramp) if after <= since), 0.0)
        whole = sum(self.weights.values())
        return {self.baseline: 1 - share, **{number: share * weight / whole for number, weight in self.weights.items()}}

    @property
    def told(self) -> dict[str, Any]:
        """As JSON has it."""
        weights = {str(number): weight for number, weight in sorted(self.weights.items())}
        said = {"baseline": self.baseline, "conditions": dict(self.conditions), "ramp": [list(one) for one in self.ramp]}
        more = {**said, "guards": [asdict(one) for one in self.guards]}
        return {"weights": weights, "sticky": self.sticky, **{name: value for name, value in more.items() if value}}

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Self:
        """From `told`."""
        return cls(
            weights={int(number): weight for number, weight in told["weights"].items()},
            sticky=told["sticky"],
            baseline=told.get("baseline"),
            conditions=told.get("conditions", {}),
            ramp=tuple((after, share) for after, share in told.get("ramp", ())),
            guards=tuple(Guard(**one) for one in told.get("guards", ())),
        )

    @property
    def terms(self) -> str:
        """What its row has beside the weights."""
        return dumps({name: value for name, value in self.told.items() if name not in ("weights", "sticky")})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """A plan at work since `begun_at`, in microseconds since 1970. The `salt` keeps its choices apart from those of others."""

    plan: Plan
    salt: str
    begun_at: int

    @classmethod
    def of(cls, row: Row) -> Self:
        """A row of `prompt_rollouts`."""
        plan = Plan.read({"weights": loads(row["weights"]), "sticky": row["sticky"], **loads(row["terms"] or "{}")})
        return cls(plan=plan, salt=row["salt"], begun_at=row["created_at"])

    def choose(self, weights: Mapping[int, float], asker: Asker) -> tuple[int, bool]:
        """The version for somebody by the weights of now, and whether they take part: who does not says nothing of how versions compare."""
        baseline = self.plan.baseline
        if baseline is not None and not asker.meets(self.plan.conditions):
            return baseline, False
        return chosen(weights, self.salt, asker.sticks(self.plan.sticky)), True

    def weights(self, now: int) -> Mapping[int, float]:
        """The weights at that time."""
        return self.plan.at(now - self.begun_at)


def get(prompt: str, id: str) -> Transaction[Rollout]:
    """A rollout by its id. Raises `RegistryUnreadable` for one that is gone or damaged."""
    found = yield SQL.bindings.rollout(id=id)
    try:
        return Rollout.of(found[0])
    except (PromptError, LookupError, ValueError, TypeError, AttributeError) as error:
        hint = "Release a version, or roll out anew."
        raise RegistryUnreadable(f"A rollout of {prompt} cannot be read.", hint=hint, prompt=prompt, rollout=id) from error


def _check_conditions(conditions: Mapping[str, Any]) -> None:
    if unknown := conditions.keys() - {*CONDITIONS, "variables"}:
        raise PromptError(f"There is no condition {sorted(unknown)[0]!r}.", hint=f"Say one of {', '.join(CONDITIONS)}, variables.")
    variables = conditions.get("variables", {})
    if not isinstance(variables, Mapping):
        raise PromptError("The condition variables names nothing.", hint='Give a list for each: {"variables": {"plan": ["pro"]}}.')
    told = cast("Mapping[str, Any]", variables)
    texts = {name: wanted for name, wanted in conditions.items() if name != "variables"}
    odd = [name for name, wanted in (*texts.items(), *told.items()) if not isinstance(wanted, list | tuple) or not wanted]
    if odd := odd or [name for name, wanted in texts.items() if any(not isinstance(one, str) for one in wanted)]:
        raise PromptError(f"The condition {odd[0]} names nothing.", hint='Give a list: {"tags": ["beta"]}.')


def _check_ramp(plan: Plan) -> None:
    steps = plan.ramp
    if steps and plan.baseline in plan.weights:
        hint = "Leave it out of the weights: it has what the others have not."
        raise PromptError("With a ramp the baseline has no weight.", hint=hint)
    shares, times = [share for _, share in steps], [after for after, _ in steps]
    if any(not 0 <= share <= 1 for share in shares) or shares != sorted(shares) or times != sorted(set(times)) or min(times, default=0) < 0:
        raise PromptError(f"{list(steps)} is no ramp.", hint='Give times and shares that grow: [("0h", 0.05), ("1h", 0.25), ("1d", 1)].')


def chosen(weights: Mapping[int, float], salt: str, key: str) -> int:
    """The version with the largest score `-w / ln(h)`, where `h` in (0, 1) is a hash of salt, version and key: weighted rendezvous.

    Each key compares scores that no other version's weight has a part in: only keys whose winner changes move.

    >>> chosen({3: 0.9, 5: 0.1}, "r1", "tenant-7")
    3
    """
    best, largest = 0, -inf
    for version, weight in sorted(weights.items()):
        if weight <= 0:
            continue
        score = -weight / log(_fraction(f"{salt}\0{version}\0{key}"))
        if score > largest:
            best, largest = version, score
    return best


def _fraction(text: str) -> float:
    """A number in (0, 1), spread evenly."""
    number = int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
    return (number + 0.5) / 2**64
