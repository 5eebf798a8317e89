"""The message that a client of the AI SDK makes of chunks, as strict as the client is: what would be fatal to it raises."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Part = dict[str, Any]
_KNOWN = {"start", "finish", "start-step", "finish-step", "error", "abort", "file", "source-url", "message-metadata"}
_SINCE = {"tool-approval-request": 6, "tool-output-denied": 6, "tool-approval-response": 7, "reset-step": 7}


@dataclass
class UiMessage:
    """What a client has. `sdk`: its major version."""

    sdk: int = 7
    parts: list[Part] = field(default_factory=list[Part])
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    id: str = ""
    finished: str | None = None
    error: str | None = None
    aborted: bool = False
    chunks: int = 0
    _open: dict[str, Part] = field(default_factory=dict[str, Part])
    _partial: set[str] = field(default_factory=set[str])

    def read(self, stream: bytes) -> UiMessage:
        """Take in all whole frames of a response; a broken one at its end is dropped."""
        for frame in stream.split(b"\n\n")[:-1]:
            if frame.startswith(b"data: ") and frame != b"data: [DONE]":
                self.apply(json.loads(frame[6:]))
        return self

    def apply_all(self, chunks: Iterable[Part]) -> UiMessage:
        for chunk in chunks:
            self.apply(chunk)
        return self

    def apply(self, chunk: Part) -> None:
        """Take in a chunk."""
        kind = str(chunk["type"])
        assert self.finished is None or kind == "start", f"{kind} after finish"
        assert self.sdk >= _SINCE.get(kind, 5), f"{kind} is not known to AI SDK {self.sdk}"
        self.chunks += 1
        if kind.startswith(("text-", "reasoning-")):
            self._spoken(kind, chunk)
        elif kind.startswith("tool-"):
            self._called(kind, chunk)
        elif kind.startswith("data-"):
            self._data(chunk)
        else:
            assert kind in _KNOWN | _SINCE.keys(), f"{kind} is unknown"
            self._marked(kind, chunk)
            self.metadata |= chunk.get("messageMetadata") or {}

    @property
    def text(self) -> str:
        """All that is said."""
        return "".join(part["text"] for part in self.parts if part["type"] == "text")

    def calls(self) -> dict[str, Part]:
        """The tool calls by their ids; of two with one id the last."""
        return {part["toolCallId"]: part for part in self.parts if part["type"].startswith("tool-")}

    def seen(self) -> list[Part]:
        """The parts, as a person sees them: what a client keeps for itself is left out."""
        hidden = ("id", "raw")
        return [{name: value for name, value in part.items() if name not in hidden} for part in self.parts]

    def _spoken(self, kind: str, chunk: Part) -> None:
        what, _, moment = kind.partition("-")
        if moment == "start":
            self._open[chunk["id"]] = {"type": what, "id": chunk["id"], "text": "", "state": "streaming"}
            self.parts.append(self._open[chunk["id"]])
            return
        part = self._open[chunk["id"]]
        assert part["type"] == what
        if moment == "delta":
            assert chunk["delta"]
            part["text"] += chunk["delta"]
        else:
            part["state"] = "done"
            del self._open[chunk["id"]]

    def _called(self, kind: str, chunk: Part) -> None:
        if kind == "tool-approval-response":
            [part] = [one for one in self.parts if one.get("approval", {}).get("id") == chunk["approvalId"]]
            assert part["state"] not in ("output-available", "output-error", "output-denied"), "an answer after the outcome"
            part |= {"state": "approval-responded", "approval": {**part["approval"], "approved": chunk["approved"]}}
            return
        id = chunk["toolCallId"]
        if kind in ("tool-input-start", "tool-input-available", "tool-input-error"):
            part = next((one for one in self._step() if one.get("toolCallId") == id), None)
            if part is None:
                part = {"type": f"tool-{chunk['toolName']}", "toolCallId": id}
                self.parts.append(part)
        else:
            part = next((one for one in [*self._step(), *reversed(self.parts)] if one.get("toolCallId") == id), None)
            assert part is not None, f"{kind} without its call"
        self._told(kind, chunk, part)

    def _told(self, kind: str, chunk: Part, part: Part) -> None:
        match kind:
            case "tool-input-start":
                self._partial.add(chunk["toolCallId"])
                part |= {"state": "input-streaming", "raw": ""}
            case "tool-input-delta":
                assert chunk["toolCallId"] in self._partial, "input without its start"
                part["raw"] += chunk["inputTextDelta"]
            case "tool-input-available":
                part |= {"state": "input-available", "input": chunk["input"]}
            case "tool-input-error" | "tool-output-error":
                part |= {"state": "output-error", "errorText": chunk["errorText"]}
            case "tool-output-available":
                part |= {"state": "output-available", "output": chunk["output"]}
            case "tool-output-denied":
                part["state"] = "output-denied"
            case "tool-approval-request":
                part |= {"state": "approval-requested", "approval": {"id": chunk["approvalId"]}}
            case _:
                raise AssertionError(f"{kind} is unknown")

    def _data(self, chunk: Part) -> None:
        if chunk.get("transient"):
            return
        known = [one for one in self.parts if one["type"] == chunk["type"] and one.get("id") == chunk.get("id")]
        if known and chunk.get("id") is not None:
            known[0]["data"] = chunk["data"]
        else:
            self.parts.append({"type": chunk["type"], "id": chunk.get("id"), "data": chunk["data"]})

    def _marked(self, kind: str, chunk: Part) -> None:
        match kind:
            case "start":
                self.id, self.finished = chunk["messageId"], None
            case "finish":
                self.finished = chunk["finishReason"]
            case "start-step":
                self.parts.append({"type": "step-start"})
            case "finish-step":
                if self.sdk < 7:
                    self._open.clear()
            case "reset-step":
                del self.parts[len(self.parts) - len(self._step()) :]
                self._open.clear()
                self._partial.clear()
            case "error" | "abort":
                self.error, self.aborted = chunk.get("errorText"), kind == "abort"
            case _:
                self.parts.append(dict(chunk))

    def _step(self) -> list[Part]:
        """The parts since the last step began."""
        last = max((place for place, part in enumerate(self.parts) if part["type"] == "step-start"), default=-1)
        return self.parts[last + 1 :]
