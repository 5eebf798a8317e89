"""One workload of one contender, in a process of its own: `python -m tests.benchmarks.contender NAME WORKLOAD SIZES DIRECTORY`.

Prints its figures as JSON. Peers are imported here and nowhere else, and their threads disturb nobody else's figures.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.sizes import Sizes

MODULES = {"agentflow": "with_agentflow", "bare": "bare", "dbos": "with_dbos", "langgraph": "with_langgraph"}


def main(name: str, workload: str, sizes: str, directory: str) -> None:
    """Run it."""
    module = importlib.import_module(f"tests.benchmarks.{MODULES[name]}")
    measure: Callable[[Sizes, Path], dict[str, list[float]]] = getattr(module, workload)
    figures = measure(Sizes(**json.loads(sizes)), Path(directory))
    print("\n" + json.dumps(figures), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
