"""What is asked over HTTP, as pydantic models: bodies and queries. Times are milliseconds since 1970."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, StrictBool, model_validator

from agentflow.records import RunState, WaitKind, WaitState

Time = Annotated[int, Field(ge=0, le=253_402_300_799_999)]
"""Milliseconds since 1970, to the end of the year 9999."""
_LARGE = 2**31


class Strict(BaseModel):
    """A body or query: names that are not known are errors."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="after")
    def _check_texts(self) -> Self:
        """Names and keys are stored as they are, and no database stores this character in a text; what is JSON may hold it."""
        for name, one in type(self).model_fields.items():
            value: Any = getattr(self, name)
            texts: list[Any] = cast("list[Any]", value) if isinstance(value, list) else [value]
            if one.annotation is not Any and any(isinstance(text, str) and "\x00" in text for text in texts):
                raise ValueError(f"{name} holds a NUL character")
        return self


class Nothing(Strict):
    """No body, no query."""


class DebounceOptions(Strict):
    """Starts of one key become one run, which starts after so much quiet, or after `max_delay` at most. Durations as in `RunOptions`.

    `mode`: whether the run has the payload of the last start (`trailing`) or of the first (`leading`).
    """

    key: str = Field(min_length=1, max_length=512)
    delay: int | float | str
    max_delay: int | float | str = "1h"
    mode: Literal["trailing", "leading"] = "trailing"


class RunOptions(Strict):
    """How a run starts. Durations are seconds, or texts like "30s", "5m", "2h" and "3d"."""

    delay: int | float | str | None = None
    ttl: int | float | str | None = None
    idempotency_key: str | None = Field(None, min_length=1, max_length=512)
    idempotency_scope: Literal["run", "global"] | None = None
    tags: list[str] | None = None
    metadata: dict[str, Any] | None = None
    priority: int | None = Field(None, ge=-_LARGE, le=_LARGE)
    weight: int | None = Field(None, ge=1, le=_LARGE)
    concurrency_key: str | None = None
    dedupe_key: str | None = Field(None, min_length=1, max_length=512)
    debounce: DebounceOptions | None = None
    thread: str | None = Field(None, min_length=1, max_length=255)
    started_by: str | None = Field(None, min_length=1, max_length=256)


class StartRun(Strict):
    """Which task to start: its payload has an entry per argument."""

    task: str
    payload: dict[str, Any] = Field(default_factory=dict[str, Any])
    options: RunOptions = Field(default_factory=lambda: RunOptions.model_validate({}))


class CancelRun(Strict):
    """Why a run is to stop."""

    reason: str = "cancelled over HTTP"


class ResumeRun(Strict):
    """How a paused run goes on: with its record as it is, or again from the step that differs."""

    rerun: bool = False


class RescheduleRun(Strict):
    """When a run starts instead: `delay` from now, a duration, or `at`, milliseconds since 1970. `payload` takes the place of its own."""

    delay: int | float | str | None = None
    at: Time | None = None
    payload: dict[str, Any] | None = None


class PauseQueue(Strict):
    """Who pauses a queue; else the header X-Agentflow-By."""

    by: str | None = None


class MoveRun(Strict):
    """The version whose code is to take the run; null for whatever code its task has. `force`: also one that nobody has ever had."""

    to: str | None
    force: bool = False


class CreateWaitpoint(Strict):
    """A token that a run can wait for. `timeout` is a duration, and so is `idempotency_ttl`: for how long the key gives the same token."""

    timeout: int | float | str | None = None
    title: str = ""
    idempotency_key: str | None = Field(None, min_length=1, max_length=512)
    idempotency_ttl: int | float | str = "30d"


class Stand(Strict):
    """That a yes stands for other calls with just the same arguments: where, for how long (a duration), and for how many at most."""

    scope: Literal["run", "thread", "agent", "all"] = "run"
    expires: int | float | str = "1h"
    max_uses: int | None = Field(None, ge=1)


class Decide(Strict):
    """An answer: `approved` (with `reason`, `edits`) for an approval, `value` for a token.

    `by` says who; else the header X-Agentflow-By. With a browser token its subject decides, and nobody else can be named.
    `seen_digest` is the `subject.digest` of what was shown to them. `stop`, with the no to a tool call: the run that asked is cancelled.
    `always` makes a grant of the yes: a browser token needs `grants:write` for it.
    """

    approved: StrictBool | None = None
    reason: str | None = None
    edits: dict[str, Any] | None = None
    stop: bool | None = None
    value: Any = None
    by: str | None = None
    seen_digest: str | None = None
    always: Stand | None = None


class MakeLink(Strict):
    """For whom a link is, for how long (a duration; with the question at the latest), and what it offers; null for all there is.

    A browser token makes links for its subject only, and need not name it.
    `replace` closes the links that this person was given before. `by` as in `Decide`.
    """

    actor: str | None = Field(None, min_length=1, max_length=256)
    expires: int | float | str = "7d"
    choices: list[Literal["approve", "deny", "edit", "answer"]] | None = None
    replace: bool = False
    by: str | None = None


class DecideOne(Strict):
    """One decision among many, as in `Decide`."""

    id: str = Field(min_length=1, max_length=128)
    approved: StrictBool
    reason: str | None = None
    edits: dict[str, Any] | None = None
    seen_digest: str | None = None


class DecideMany(Strict):
    """Decisions about calls of one turn of one run. `mode`: `all` or none of them, or `each` by itself. `by` as in `Decide`."""

    decisions: list[DecideOne] = Field(min_length=1, max_length=100)
    mode: Literal["all", "each"] = "all"
    by: str | None = None


class Withdraw(Strict):
    """Why a question is taken back, and whether another one took its place. `by` as in `Decide`."""

    reason: str | None = None
    superseded: bool = False
    by: str | None = None


class Remind(Strict):
    """Who reminds. `by` as in `Decide`."""

    by: str | None = None


class Reassign(Strict):
    """Who is to decide instead; null leaves users or groups as they are. `by` as in `Decide`."""

    users: list[str] | None = None
    groups: list[str] | None = None
    by: str | None = None


class RunQuery(Strict):
    """Which runs. `cursor` is the `next` of the page before."""

    task: str | None = None
    status: RunState | None = None
    tag: str | None = None
    parent: str | None = None
    cursor: int | None = Field(None, ge=0, lt=2**63)
    limit: int = Field(50, ge=1, le=500)


class StreamQuery(Strict):
    """From where: `after` is the id of the last event that was seen; the header Last-Event-ID counts before it.

    Without either, `from` says where to begin: at the `start`, with what comes from now on (`latest`), or with the run as it is now and
    what comes from then on (`snapshot`). `types` are names of events or of groups of them, as `text,tool.output`; `live=0` ends when
    caught up. `ticket` stands for the header Authorization, which an EventSource cannot send.
    """

    after: str | None = None
    start: Literal["start", "latest", "snapshot"] = Field("start", alias="from")
    types: str | None = None
    live: bool = True
    ticket: str | None = None


class StreamRuns(Strict):
    """Which runs to follow: each with the id of the last event of it that was seen, or null. `types` as in `StreamQuery`."""

    runs: dict[str, str | None] = Field(min_length=1, max_length=200)
    types: list[str] | None = None
    live: bool = True


class IndexQuery(Strict):
    """Which runs to list; `thread` is short for the tag `thread:<id>`."""

    task: str | None = None
    status: RunState | None = None
    tag: str | None = None
    thread: str | None = None
    parent: str | None = None
    limit: int = Field(50, ge=1, le=200)
    live: bool = True


class EventQuery(Strict):
    """From where, and how many events at most. `ticket` stands for the header Authorization."""

    after: str | None = None
    limit: int = Field(500, ge=1, le=5_000)
    ticket: str | None = None


class WaitpointQuery(Strict):
    """Which waitpoints; `state` is `pending` unless said otherwise, `any` for all; `status` is another word for it.

    `assignee`: those that this person may decide about, `me` for whoever asks. `risk` may be several, by commas. `thread` is the run's.
    `cursor` is the `next` of the page before; of those that have ended there is one page.
    """

    kind: WaitKind | None = None
    state: WaitState | Literal["any"] = WaitState.PENDING
    status: WaitState | Literal["any"] | None = None
    run: str | None = None
    thread: str | None = Field(None, max_length=255)
    assignee: str | None = Field(None, min_length=1, max_length=256)
    risk: str | None = Field(None, pattern="^(low|medium|high|critical)(,(low|medium|high|critical))*$")
    tool: str | None = Field(None, max_length=256)
    cursor: str | None = Field(None, pattern="^[0-9]{1,18}-wp_[0-9A-Za-z_]{1,128}$")
    limit: int = Field(100, ge=1, le=500)
