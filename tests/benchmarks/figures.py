"""What is told of each workload, and what agentflow is to reach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.benchmarks.contenders import Store


@dataclass(frozen=True, slots=True)
class Goal:
    """At most `limit`, or at least. `of`: the figure that is judged; `times`: the limit is a multiple of that figure."""

    text: str
    limit: float
    of: str
    times: str | None = None
    at_least: bool = False

    def reached(self, ours: Mapping[str, float]) -> bool:
        """Whether agentflow's figures are as good."""
        limit = self.limit * (1 if self.times is None else ours.get(self.times, 0))
        found = ours.get(self.of)
        return found is not None and (found >= limit if self.at_least else found <= limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of the table: which figure, what it is, how it is written. `compared`: with the bare limit and with peers."""

    key: str
    title: str
    form: str
    goals: Mapping[Store, Goal] = field(default_factory=dict[Store, Goal])
    more_is_better: bool = False
    compared: bool = True


def _both(goal: Goal) -> dict[Store, Goal]:
    return {"sqlite": goal, "postgres": goal}


def _beside(name: str, title: str) -> Line:
    key = f"W6 {name}"
    return Line(key=key, title=title, form=".2f", goals=_both(Goal("≤ 1.1", 1.1, key)), compared=False)


LINES = (
    Line(
        key="W1",
        title="W1 step of a run of 100, ms",
        form=".2f",
        goals={"sqlite": Goal("≤ 1.5 × bare", 1.5, "W1 over bare"), "postgres": Goal("≤ 2 × bare", 2, "W1 over bare")},
    ),
    Line(
        key="W2",
        title="W2 runs of 5 steps, per second",
        form=",.0f",
        goals={"sqlite": Goal("≥ 2,000", 2_000, "W2", at_least=True), "postgres": Goal("≥ 1,000", 1_000, "W2", at_least=True)},
        more_is_better=True,
    ),
    Line(key="W3", title="W3 start to result, p50, ms", form=".2f", goals={"sqlite": Goal("≤ 2", 2, "W3")}),
    Line(
        key="W4",
        title="W4 answer to next line, p50, ms",
        form=".2f",
        goals={"sqlite": Goal("≤ 1.5", 1.5, "W4"), "postgres": Goal("≤ 3", 3, "W4")},
    ),
    Line(key="W4 evicted", title="   the same, not in memory", form=".2f", compared=False),
    Line(key="W5 first", title="W5 first steps of a long run, ms/step", form=".2f"),
    Line(key="W5 last", title="   last steps", form=".2f", goals=_both(Goal("≤ 1.2 × first", 1.2, "W5 last", times="W5 first"))),
    Line(key="W5 bytes", title="   database bytes per step", form=",.0f"),
    Line(key="W5 recovery", title="   after kill -9: going on, s", form=".3f", goals=_both(Goal("≤ 0.2", 0.2, "W5 recovery"))),
    Line(key="W5 repeated", title="   recorded steps run again", form=",.0f", goals=_both(Goal("0", 0, "W5 repeated")), compared=False),
    _beside("W1", "W6 beside waiting runs: W1, times"),
    _beside("W2", "   W2, times"),
    _beside("W3", "   W3, times"),
    _beside("W4", "   W4, times"),
    _beside("memory", "   memory of the worker, times"),
    Line(key="W6 MB", title="   memory of the worker, MB", form=",.0f", compared=False),
)
