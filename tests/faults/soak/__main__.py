"""`python -m tests.faults.soak --seed 7 --seconds 60`: one soak, or one after the other with `--rounds`."""

from __future__ import annotations

import argparse
import asyncio
import sys

from tests.faults.soak.driver import Plan, counted, soak
from tests.faults.soak.report import Report


def main() -> int:
    """Soak; returns 1 when something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="what goes wrong, and when; the first of several rounds")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long faults come in a round")
    parser.add_argument("--rounds", type=int, default=1, help="how many seeds, one after the other")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--database", choices=("postgres", "sqlite"), default="postgres")
    parser.add_argument("--rate", type=float, default=6.0, help="runs started per second")
    parser.add_argument("--before", default="HEAD~1", help="the revision that half of the workers run")
    parser.add_argument("--show", action="store_true", help="show the schedules of faults and do nothing")
    parser.add_argument("--keep", action="store_true", help="keep the logs of the workers though everything holds")
    given = parser.parse_args()
    plans = [
        Plan(seed=seed, seconds=given.seconds, workers=given.workers, database=given.database, rate=given.rate, before=given.before)
        for seed in range(given.seed, given.seed + given.rounds)
    ]
    return show(plans) if given.show else run(plans, keep=given.keep)


def show(plans: list[Plan]) -> int:
    """Print what would go wrong."""
    for plan in plans:
        print(f"seed {plan.seed}")
        print("\n".join(f"  {fault}" for fault in plan.schedule))
    return 0


def run(plans: list[Plan], *, keep: bool) -> int:
    """Soak by each plan."""
    reports: list[Report] = []
    for plan in plans:
        print(f"seed {plan.seed}: {plan.seconds:g} s of faults", flush=True)
        reports.append(asyncio.run(soak(plan, keep=keep)))
        print(reports[-1], flush=True)
    failed = [report.title for report in reports if report.failed]
    if len(plans) > 1:
        print(f"{len(plans)} rounds: " + ", ".join(f"{name} {number}" for name, number in counted(reports).items()))
    print("\n".join(["FAILED", *failed]) if failed else "everything holds", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
