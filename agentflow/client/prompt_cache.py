"""What is known of an environment's prompts: as it was told last, and in a file for the next start. Versions never change, and stay."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic_core import from_json

from agentflow.client.answers import binding_of, version_of
from agentflow.errors import AgentflowError
from agentflow.serde import dumps
from agentflow.storage.bindings import BindingRecord
from agentflow.storage.prompts import VersionRecord

_FORMAT = 2
_log = logging.getLogger("agentflow.prompts")


@dataclass(slots=True)
class Known:
    """What holds, by prompt and label, and every version that was ever told of, by prompt and number."""

    etag: str
    bindings: dict[tuple[str, str], BindingRecord] = field(default_factory=dict[tuple[str, str], BindingRecord])
    versions: dict[tuple[str, int], VersionRecord] = field(default_factory=dict[tuple[str, int], VersionRecord])
    hashes: dict[tuple[str, str], VersionRecord] = field(init=False)

    def __post_init__(self) -> None:
        self.hashes = {(one.prompt, one.hash): one for one in self.versions.values()}


class Cache:
    """Holds what is known; in `folder`, if that is given, for the next process. A file that is damaged or cannot be written is no error."""

    def __init__(self, folder: Path | None, env: str | None) -> None:
        self._file = None if folder is None else folder / f"prompts-{quote(env or 'default', safe='')}.json"
        self._bindings: dict[tuple[str, str], Mapping[str, Any]] = {}
        self._versions: dict[tuple[str, int], Mapping[str, Any]] = {}
        self.known: Known | None = None
        self.heard = 0

    def load(self) -> None:
        """Read what the last process knew."""
        if self._file is None or not self._file.exists():
            return
        try:
            found = from_json(self._file.read_bytes())
            if found["format"] == _FORMAT:
                self._learn(found)
                self.heard = int(found["heard"])
        except (OSError, ValueError, LookupError, TypeError, AttributeError, AgentflowError) as error:
            self._bindings, self._versions, self.known = {}, {}, None
            _log.warning("%s cannot be read, and is written anew: %s", self._file, error)

    def take(self, told: Mapping[str, Any], now: int) -> None:
        """Learn a snapshot, or what has changed since the last one."""
        self._learn(told)
        self.heard = now
        self._keep()

    def hear(self, now: int) -> None:
        """The server is there, and what is known still holds."""
        self.heard = now

    def _learn(self, told: Mapping[str, Any]) -> None:
        # Without a type it is a snapshot: what it does not name does not hold any more.
        bindings = dict(self._bindings) if told.get("type") == "prompts.changed" else {}
        for one in told.get("gone", ()):
            bindings.pop((one["prompt"], one["label"]), None)
        bindings |= {(one["prompt"], one["label"]): one for one in told["bindings"]}
        versions = self._versions | {(one["prompt"], one["number"]): one for one in told["versions"]}
        known = Known(told["etag"], {key: binding_of(key[0], one) for key, one in bindings.items()}, _versions(versions.values()))
        self._bindings, self._versions, self.known = bindings, versions, known

    def _keep(self) -> None:
        if self._file is None or self.known is None:
            return
        told = {"bindings": list(self._bindings.values()), "versions": list(self._versions.values())}
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            written = self._file.with_suffix(f".{os.getpid()}.new")
            written.write_text(dumps({"format": _FORMAT, "etag": self.known.etag, "heard": self.heard, **told}), encoding="utf-8")
            written.replace(self._file)
        except OSError as error:
            _log.warning("%s cannot be written: %s", self._file, error)


def _versions(told: Iterable[Mapping[str, Any]]) -> dict[tuple[str, int], VersionRecord]:
    return {(one["prompt"], one["number"]): version_of(one) for one in told}
