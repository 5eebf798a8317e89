"""The messages that an AG-UI client holds of a run: which there are, in which order, and what they say so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentflow.streams.fold import Fold

Message = Mapping[str, Any]
"""A message as AG-UI writes it: `id`, `role`, and what the role has."""


@dataclass(slots=True, eq=False)
class Entry:
    """A message. A spoken one joins `parts` of text and `calls`; a thought has one part, a result `content`."""

    id: str
    role: str
    parts: list[str] = field(default_factory=list[str])
    calls: list[str] = field(default_factory=list[str])
    content: str = ""
    answers: str = ""
    secret: str | None = None
    metadata: dict[str, Any] | None = None


class Messages:
    """Keeps to the order in which the client's reducer puts messages, so that a snapshot changes no more than it must.

    `held` are the client's messages as it sent them: those of this run are told from its log.
    """

    def __init__(self, run_id: str, held: Sequence[Message], fold: Fold) -> None:
        self._run_id = run_id
        self._others = [message for message in held if message["role"] != "activity" and not message["id"].startswith(f"{run_id}:")]
        self._fold = fold
        self._entries: list[Entry] = []
        self._saying: dict[str, Entry] = {}
        self._calling: dict[str, Entry] = {}
        self._results: dict[str, Entry] = {}
        self.arguments: dict[str, str] = {}

    # -- what there is -------------------------------------------------------------------------------------------------------------------

    def name(self, id: str) -> str:
        """An id of the run as the client sees it: unique among all runs of its conversation."""
        return f"{self._run_id}:{id}"

    def of_part(self, part: str) -> Entry | None:
        """The message that a part is in."""
        return self._saying.get(part)

    def of_call(self, call: str) -> Entry | None:
        """The message that asks for a call."""
        return self._calling.get(call)

    def result(self, call: str) -> Entry | None:
        """The message that answers a call."""
        return self._results.get(call)

    def held(self) -> list[Message]:
        """Which messages a client holds that was told of all there was: their ids and roles, in order."""
        return [*self._others, *({"id": entry.id, "role": entry.role} for entry in self._entries)]

    def void(self) -> tuple[list[str], list[str]]:
        """The parts and calls that the run no longer stands by."""
        parts = [part for part in self._saying if part not in self._fold.parts]
        return parts, [call for call in self._calling if call not in self._fold.calls]

    def named(self, id: str) -> Entry | None:
        """The message with this id."""
        return next((entry for entry in self._entries if entry.id == id), None)

    # -- what changes --------------------------------------------------------------------------------------------------------------------

    def say(self, part: str, id: str, role: str) -> Entry:
        """A part of text begins at the end of a message."""
        entry = self.named(id) or self._appended(Entry(id, role))
        entry.parts.append(part)
        self._saying[part] = entry
        return entry

    def think(self, part: str) -> Entry:
        """A thought begins: a message of its own."""
        entry = self._saying[part] = self._appended(Entry(self.name(part), "reasoning", [part]))
        return entry

    def ask(self, call: str, id: str) -> Entry:
        """A tool call begins in a message."""
        entry = self.named(id) or self._appended(Entry(id, "assistant"))
        entry.calls.append(call)
        self._calling[call] = entry
        self.arguments[call] = ""
        return entry

    def answer(self, call: str, content: str, metadata: dict[str, Any] | None) -> Entry:
        """What a call returned: behind the message that asked for it, and the answers that are there."""
        asking = self._calling[call]
        place = self._entries.index(asking) + 1
        while place < len(self._entries) and self._entries[place].role == "tool":
            place += 1
        entry = Entry(self.name(f"{call}:result"), "tool", content=content, answers=call, metadata=metadata)
        self._entries.insert(place, entry)
        self._results[call] = entry
        return entry

    def repeat(self, part: str) -> None:
        """A part is told anew: what it said comes last in its message."""
        entry = self._saying[part]
        entry.parts.remove(part)
        entry.parts.append(part)

    def drop(self, parts: Iterable[str], calls: Iterable[str]) -> None:
        """Forget parts and calls, and the messages that hold nothing else."""
        for part in parts:
            entry = self._saying.pop(part)
            entry.parts.remove(part)
            self._clear(entry)
        for call in calls:
            entry = self._calling.pop(call)
            entry.calls.remove(call)
            del self.arguments[call]
            self._clear(entry)
            answer = self._results.pop(call, None)
            if answer is not None:
                self._entries.remove(answer)

    def _clear(self, entry: Entry) -> None:
        if not entry.parts and not entry.calls:
            self._entries.remove(entry)

    def _appended(self, entry: Entry) -> Entry:
        self._entries.append(entry)
        return entry

    # -- what is told --------------------------------------------------------------------------------------------------------------------

    def snapshot(self) -> list[Message]:
        """All messages of the conversation: a client drops those that are left out."""
        return [*self._others, *(self._told(entry) for entry in self._entries)]

    def instead_of(self, held: Iterable[Message]) -> list[list[Message]]:
        """The snapshots after which a client that holds these messages has ours, in our order.

        A client keeps thoughts that are left out, where no other thought is told: told as something else, they go with the next snapshot.
        It keeps the order that it has, too: where that is not ours, all of this run go, and come again.
        """
        told, there = self.snapshot(), list(held)
        ids = [message["id"] for message in told]
        thoughtful = any(message["role"] == "reasoning" for message in told)
        stale = [] if thoughtful else [one for one in there if one["role"] == "reasoning" and one["id"] not in ids]
        kept = [one["id"] for one in there if one["id"] in ids]
        if [*kept, *(id for id in ids if id not in kept)] == ids:
            return [[*told, *map(_plain, stale)], told] if stale else [told]
        thoughts = [one for one in there if one["role"] == "reasoning" and one["id"].startswith(f"{self._run_id}:")]
        return [[*self._others, *map(_plain, thoughts)], list(self._others), told]

    def _told(self, entry: Entry) -> Message:
        message: dict[str, Any] = {"id": entry.id, "role": entry.role}
        if entry.role == "tool":
            message |= {"toolCallId": self.name(entry.answers), "content": entry.content}
        elif entry.parts:
            message["content"] = "".join(self._fold.parts[part].text for part in entry.parts)
        if entry.calls:
            message["toolCalls"] = [self._call(call) for call in entry.calls]
        if entry.secret is not None:
            message["encryptedValue"] = entry.secret
        if entry.metadata is not None:
            message["metadata"] = entry.metadata
        return message

    def _call(self, call: str) -> dict[str, Any]:
        function = {"name": self._fold.calls[call].name, "arguments": self.arguments[call]}
        return {"id": self.name(call), "type": "function", "function": function}


def _plain(thought: Message) -> Message:
    return {"id": thought["id"], "role": "assistant", "content": ""}
