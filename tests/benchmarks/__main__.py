"""`python -m tests.benchmarks`: measures, prints the table, writes JSON to `bench-results/`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from time import perf_counter

from tests.benchmarks.race import CONTENDERS, ROOT, race
from tests.benchmarks.report import table, write
from tests.benchmarks.sizes import TINY, Sizes


def main() -> int:
    """Run the benchmarks."""
    arguments = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="agentflow beside the bare limit and its peers")
    arguments.add_argument(
        "--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS), help="contenders; the first two are always in"
    )
    arguments.add_argument("--tiny", action="store_true", help="see that it works; the figures mean nothing")
    given = arguments.parse_args()
    sizes = TINY if given.tiny else Sizes()
    names = [name for name in CONTENDERS if name in {*given.only, "bare", "agentflow"}]
    results_directory = ROOT / "bench-results"
    results_directory.mkdir(exist_ok=True)
    began = perf_counter()
    # Not in /tmp, which may be memory: what is measured is a disk.
    with tempfile.TemporaryDirectory(dir=results_directory, prefix="run-") as directory:
        results = race(names, sizes, results_directory / directory, lambda text: print(text, file=sys.stderr))
    path = write(results, sizes, results_directory)
    print(table(results))
    print(f"{perf_counter() - began:.0f} s; all samples: {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
