"""What happened, for people: counts, and what must not have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

SHOWN = 12
"""Violations of one kind that are shown in full."""


@dataclass
class Report:
    """Counts by their names, remarks, and the violations of each invariant."""

    title: str
    counts: dict[str, int] = field(default_factory=dict[str, int])
    remarks: list[str] = field(default_factory=list[str])
    violations: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    def count(self, counts: Mapping[str, int]) -> None:
        """Add counts."""
        self.counts.update(counts)

    def check(self, name: str, wrong: Sequence[str]) -> None:
        """Enter what an invariant found."""
        self.violations[name] = list(wrong)

    @property
    def failed(self) -> bool:
        """Whether anything does not hold."""
        return any(self.violations.values())

    def __str__(self) -> str:
        lines = [self.title, *(f"  {remark}" for remark in self.remarks)]
        lines.append("  " + ", ".join(f"{name} {number}" for name, number in self.counts.items()))
        for name, wrong in self.violations.items():
            lines.append(f"  {'FAILED' if wrong else 'holds '}  {name.replace('_', ' ')}" + (f": {len(wrong)}" if wrong else ""))
            lines += [f"            {one}" for one in wrong[:SHOWN]]
            lines += [f"            and {len(wrong) - SHOWN} more"] if len(wrong) > SHOWN else []
        return "\n".join(lines)
