"""`make demo`: draft release notes, die in the middle, go on.

    python -m cookbook.release_notes [REPOSITORY] [--output FILE]

This process starts the run, shows what it says and asks you; the agent itself works in a process of its own, which is killed with SIGKILL
while the model speaks.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path


def arguments() -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(prog="python -m cookbook.release_notes", description="Draft the release notes of a git repository.")
    parser.add_argument("repository", nargs="?", default=".", help="a git repository (default: this one)")
    parser.add_argument("--output", default="RELEASE_NOTES.md", help="the file to write")
    return parser.parse_args()


def main() -> int:
    """Run the demo; 0 when everything held."""
    asked = arguments()
    repository = Path(asked.repository).resolve()
    if not (repository / ".git").exists():
        print(f"{repository} is no git repository. Give the path of one: python -m cookbook.release_notes PATH", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="agentflow-demo-") as directory:
        os.environ["RELEASE_NOTES_REPOSITORY"] = str(repository)
        os.environ["RELEASE_NOTES_OUTPUT"] = asked.output
        os.environ["RELEASE_NOTES_BODIES"] = str(Path(directory) / "bodies.log")
        # Imported only now: the agent reads its settings from the environment, as its worker processes do.
        from cookbook.release_notes.show import demonstrate

        return asyncio.run(demonstrate(directory))


if __name__ == "__main__":
    sys.exit(main())
