"""What a run has recorded, looked up by key. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from agentflow.control import RunPaused
from agentflow.errors import DuplicateName
from agentflow.records import EntryKind, JournalEntry

_PATCH = re.compile(r"patch\(.*\)", re.DOTALL)
_PAUSE = re.compile(r"~(\d+|budget)\.\d+$")
"""Ends the key of a wait between two tries of a step, or for its budget. A step that is recorded does not ask for it again."""


def patch_key(name: str) -> str:
    """The key under which a patch is recorded."""
    return f"patch({name})"


def is_patch(key: str) -> bool:
    """Whether a key is that of a patch: no step's ends with a bracket."""
    return _PATCH.fullmatch(key) is not None


class Replay:
    """The journal of one run, as its code asks for it again.

    `attempt` is the run's present attempt: an error that an earlier attempt recorded does not stand in the way of a new one. `waits` are
    the keys of waits that have ended, `pending` of those that have not.
    """

    def __init__(self, entries: Iterable[JournalEntry], attempt: int, waits: Iterable[str] = (), pending: Iterable[str] = ()) -> None:
        self._found: dict[str, JournalEntry] = {}
        self._tries: dict[str, JournalEntry] = {}
        self._unsettled: Counter[str] = Counter()
        self._last: dict[str, int] = {}
        self._asked: set[str] = set()
        self._accepted: set[str | None] = set()
        self.last = 0
        for entry in standing(entries):
            self.last = max(self.last, entry.seq)
            if entry.kind is EntryKind.RESET:
                self._accepted.add(entry.code)
                continue
            if entry.kind is EntryKind.TRY:
                self._try(entry, attempt)
            elif entry.kind is not EntryKind.ERROR or entry.attempt == attempt:
                self._found[entry.key] = entry
        self._ahead = {key for key in self._found if not is_patch(key)} | {_PAUSE.sub("", key) for key in waits}
        # A try that was cancelled and only told what it used has no number: nobody need ask for the step again.
        self._begun = (
            {key for key, one in self._tries.items() if one.tries} | set(+self._unsettled) | {_PAUSE.sub("", key) for key in pending}
        )

    def _try(self, entry: JournalEntry, attempt: int) -> None:
        if entry.begins:
            self._unsettled[entry.key] += 1
            self._last[entry.key] = entry.tries
            return
        if entry.tries >= self._last.pop(entry.key, entry.tries + 1):
            # It failed, and is known to have; one that was cancelled has the number of the try before.
            self._unsettled[entry.key] -= 1
        if entry.attempt == attempt:
            self._tries[entry.key] = entry

    def unsettled(self, key: str) -> int:
        """How many tries of a step began of which no end is recorded that counts in this attempt."""
        return 0 if key in self._found else self._unsettled[key]

    @property
    def ahead(self) -> bool:
        """Whether there is something recorded that the code has not asked for yet."""
        return bool(self._ahead)

    @property
    def unasked(self) -> bool:
        """Whether the code has not asked yet for something that is recorded, or was begun."""
        return bool(self._ahead or self._begun)

    def patched(self, name: str) -> JournalEntry | None:
        """What is recorded of a patch, however often it is asked."""
        return self._found.get(patch_key(name))

    def accepts(self, code: str) -> bool:
        """Whether an operator had the run go on with this code, whatever it asks differently."""
        return code in self._accepted

    def ask(self, key: str) -> JournalEntry | None:
        """The record under `key`, if there is one. Raises `DuplicateName` when the run asks twice for one key."""
        if key in self._asked:
            raise DuplicateName(
                f"Two calls in this run have the key {key!r}.", hint="An explicit key must be unique among the calls of one step.", key=key
            )
        self._asked.add(key)
        self._ahead.discard(key)
        self._begun.discard(key)
        return self._found.get(key)

    def known(self, key: str) -> bool:
        """Whether there is a record under `key`, asked for or not."""
        return key in self._found

    def drop(self, keys: Sequence[str]) -> None:
        """What was given up is not asked for again: these keys, and all that is below those which end with a slash."""
        for known in (self._ahead, self._begun):
            known.difference_update([key for key in known if any(key == one or (one[-1:] == "/" and key.startswith(one)) for one in keys)])

    def tried(self, key: str) -> JournalEntry | None:
        """The last failed try of the step under `key`."""
        return self._tries.get(key)

    def check(self, entry: JournalEntry, digest: str, code: str) -> None:
        """Raise `RunPaused` when changed code, not accepted by an operator, asks a recorded step something else than what is recorded."""
        if entry.digest is None or entry.digest == digest or entry.code == code or code in self._accepted:
            return
        raise RunPaused(
            {
                "step": entry.key,
                "seq": entry.seq,
                "recorded": {"input": entry.digest, "code": entry.code},
                "asked": {"input": digest, "code": code},
            }
        )


def standing(entries: Iterable[JournalEntry]) -> list[JournalEntry]:
    """The entries that count: those that an operator's reset has not set aside."""
    standing: list[JournalEntry] = []
    for entry in entries:
        if entry.kind is EntryKind.RESET:
            start = int(entry.value or 0)
            standing = [one for one in standing if one.seq < start]
        standing.append(entry)
    return standing
