"""Child processes that die with their parent, and the folders and ports that they use."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

PREFIX = "agentflow-server-"
_PR_SET_PDEATHSIG = 1
_NOBODY = 65534


def dying_with_parent(sign: signal.Signals) -> Callable[[], None] | None:
    """For `preexec_fn`: the kernel sends the child this signal when the thread that started it ends, however it ends. Linux only."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, int(sign), 0, 0, 0)


def ordinary_user() -> int | None:
    """The user id that a server which refuses root runs as; None when this process is no root."""
    return _NOBODY if os.geteuid() == 0 else None


def new_folder(owner: int | None = None) -> Path:
    """A folder with a short path, for sockets. Those of test processes that were killed are removed on the way."""
    root = Path(tempfile.gettempdir())
    for left in root.glob(f"{PREFIX}*"):
        process = left.name.removeprefix(PREFIX).partition("-")[0]
        if process.isdigit() and not _lives(int(process)):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=root))
    if owner is not None:
        os.chown(folder, owner, owner)
    return folder


def free_port() -> int:
    """A TCP port on the loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
