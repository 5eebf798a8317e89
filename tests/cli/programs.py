"""Real programs under test: started, listened to, ended."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

PATIENCE = 30.0
"""Seconds after which a test gives up on a program."""


class Program:
    """An `agentflow` process; its stdout and stderr come as one."""

    def __init__(self, folder: Path, *words: str) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AGENTFLOW_")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "agentflow.cli.main", *words],
            cwd=folder,
            env={**environment, "PYTHONUNBUFFERED": "1", "COLUMNS": "120"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._heard: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in self._process.stdout or ():
            self._heard.put(line.rstrip("\n"))
        self._heard.put(None)

    @property
    def said(self) -> str:
        """All that was heard so far."""
        return "\n".join(self.lines)

    def until(self, test: str | Callable[[str], bool]) -> str:
        """The first line, from here on, that has this text."""
        while True:
            line = self._next()
            if line is None:
                raise AssertionError(f"the program ended without saying {test!r}:\n{self.said}")
            if test(line) if callable(test) else test in line:
                return line

    def _next(self) -> str | None:
        try:
            line = self._heard.get(timeout=PATIENCE)
        except queue.Empty:
            raise AssertionError(f"the program fell silent:\n{self.said}") from None
        if line is not None:
            self.lines.append(line)
        return line

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def end(self) -> int:
        """Wait for its end; returns the exit code."""
        while self._next() is not None:
            pass
        return self._process.wait(PATIENCE)

    def close(self) -> None:
        """End it, if it is still there."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(PATIENCE)
        if self._process.stdout is not None:
            self._process.stdout.close()
