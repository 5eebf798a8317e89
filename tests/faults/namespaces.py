"""Another host: a network namespace of its own, joined to this one by one cable."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager


class Namespace:
    """Reaches this host at `address`, as long as its cable is plugged in."""

    def __init__(self) -> None:
        number = os.getpid() % 65_536
        self.name = f"af{number}"
        self._cable = f"afh{number}"
        self._net = f"10.{200 + number % 50}.{number // 256}"
        self.address = f"{self._net}.1"

    @property
    def within(self) -> tuple[str, ...]:
        """A command in front of another that runs it there."""
        return ("ip", "netns", "exec", self.name)

    def unplug(self) -> None:
        """Every packet is lost from now on; nobody is told."""
        _ip("link", "set", self._cable, "down")

    def plug(self) -> None:
        """Packets go through again."""
        _ip("link", "set", self._cable, "up")

    def make(self) -> None:
        """Make it. Raises `CalledProcessError` where this process may not."""
        there = f"afn{self.name[2:]}"
        _ip("netns", "add", self.name)
        _ip("link", "add", self._cable, "type", "veth", "peer", "name", there, "netns", self.name)
        _ip("addr", "add", f"{self.address}/30", "dev", self._cable)
        _ip("-n", self.name, "addr", "add", f"{self._net}.2/30", "dev", there)
        _ip("-n", self.name, "link", "set", there, "up")
        _ip("-n", self.name, "link", "set", "lo", "up")
        self.plug()

    def remove(self) -> None:
        """Remove what there is of it."""
        for command in (("link", "del", self._cable), ("netns", "del", self.name)):
            subprocess.run(["ip", *command], check=False, capture_output=True)


def unable() -> str | None:
    """Why there can be no other host here."""
    if shutil.which("ip") is None:
        return "there is no `ip`: install iproute2"
    return None if os.geteuid() == 0 else "only root may make network namespaces"


@contextmanager
def namespace() -> Generator[Namespace]:
    """Another host."""
    made = Namespace()
    try:
        made.make()
        yield made
    finally:
        made.remove()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
