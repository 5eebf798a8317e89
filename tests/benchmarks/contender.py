"""One workload of one contender, in a process of its own: `python -m tests.benchmarks.contender MODULE WORKLOAD SIZES PLACE`.

Prints its figures as JSON. Peers are imported here and nowhere else, and their threads disturb nobody else's figures.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict

from tests.benchmarks.place import Place
from tests.benchmarks.sizes import Sizes


def command(module: str, workload: str, sizes: Sizes, place: Place) -> list[str]:
    """What to run."""
    return [sys.executable, "-m", "tests.benchmarks.contender", module, workload, json.dumps(asdict(sizes)), place.to_json()]


def main(module: str, workload: str, sizes: str, place: str) -> None:
    """Run it."""
    found = importlib.import_module(f"tests.benchmarks.{module}")
    measure: Callable[[Sizes, Place], dict[str, list[float]]] = getattr(found, workload)
    figures = measure(Sizes(**json.loads(sizes)), Place.from_json(place))
    print("\n" + json.dumps(figures), flush=True)
    # What a peer's threads do while the interpreter ends is not measured, and one of them crashes it.
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
