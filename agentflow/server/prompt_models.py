"""What is asked and answered about prompts, as pydantic models. Times are milliseconds since 1970."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from agentflow.server.generation_models import PromptDay
from agentflow.server.models import Time
from agentflow.server.requests import Strict


class PromptMessage(Strict):
    """What one role says, as a template."""

    role: Literal["system", "user", "assistant"]
    content: str


class PromptSlot(Strict):
    """Where messages of the caller are put in, untouched."""

    slot: str


class PromptBody(Strict):
    """All that changes a call. `includes`: the texts of partials; `fenced`: the variables whose text is put between tags."""

    engine: str = "af1"
    messages: list[PromptMessage | PromptSlot]
    model: str | None = None
    params: dict[str, Any] = Field(default_factory=dict[str, Any])
    tools: list[Any] = Field(default_factory=list[Any])
    response_schema: dict[str, Any] | None = None
    includes: dict[str, str] = Field(default_factory=dict[str, str])
    fenced: list[str] = Field(default_factory=list[str])


class Guarding(Strict):
    """Gives all to the baseline once the other versions are worse by more than chance; see `agentflow.Guard`."""

    metric: Literal["error_rate", "cost", "latency", "first_token"]
    max_increase: float = Field(0.0, ge=0)
    min_calls: int = Field(200, ge=2)
    on_breach: Literal["pause", "rollback"] = "pause"


class Conditions(Strict):
    """Who takes part in a rollout: runs that meet all that is said, each by one of what it names."""

    tasks: list[str] | None = None
    tags: list[str] | None = None
    keys: list[str] | None = None
    threads: list[str] | None = None
    variables: dict[str, list[Any]] | None = None


class RampStep(BaseModel):
    """From `after_ms` milliseconds after the rollout began the versions beside the baseline have this share together."""

    after_ms: int
    share: float


class PromptRollout(BaseModel):
    """Several versions side by side, as it was begun: on a `ramp` the weights say how versions divide its share.

    `baseline` is that of all who do not meet the `conditions`; `guards` watch over the others.
    """

    id: str
    weights: dict[int, float]
    sticky: Literal["run", "thread", "key"]
    baseline: int | None
    conditions: Conditions
    ramp: list[RampStep]
    guards: list[Guarding]
    begun_at: Time


class PromptBinding(BaseModel):
    """What holds in an environment under a label. `version` is the one that is live, `code` the one of the code deployed there.

    `weights` are those of now; `rev` counts the moves: a move with `If-Match: <rev>` is refused where somebody moved it since.
    """

    env: str
    label: str
    mode: Literal["code", "pinned", "rollout"]
    version: int | None
    code: int | None
    code_ahead: bool
    weights: dict[int, float]
    rollout: PromptRollout | None
    expires_at: Time | None
    protected: bool
    rev: int
    updated_at: Time


class PromptInfo(BaseModel):
    """A prompt. `live` holds in the environment that was asked for; `contract` is the JSON schema of its variables.

    `code_hash` is that of the code deployed there; `code_ahead` says that another version than that is live. `day` is told in lists: what
    the calls did there in the last 24 hours.
    """

    name: str
    description: str
    contract: dict[str, Any]
    versions: int
    live: PromptBinding | None
    bindings: list[PromptBinding]
    code_hash: str | None
    code_ahead: bool
    created_at: Time
    day: PromptDay | None = None


class PromptPage(BaseModel):
    """All prompts, by name."""

    prompts: list[PromptInfo]


class PromptVersion(BaseModel):
    """A version, which never changes: the same content has the same hash, and is the same version."""

    prompt: str
    number: int
    hash: str
    body: PromptBody
    source: str
    note: str
    actor: str
    created_at: Time
    revoked_at: Time | None
    revoke_policy: str | None


class PromptVersionPage(BaseModel):
    """All versions of a prompt, the newest first."""

    versions: list[PromptVersion]


class PromptEventInfo(BaseModel):
    """Something that happened to a prompt; `before` and `after` say how a binding was, where one was moved."""

    seq: int
    type: str
    env: str | None
    label: str | None
    before: Any
    after: Any
    actor: str
    reason: str
    at: Time


class PromptEventPage(BaseModel):
    """What happened, oldest first; the next page is asked for with `after`."""

    events: list[PromptEventInfo]


class PromptPin(BaseModel):
    """A run that holds a version and has not ended."""

    run: str
    status: str
    thread: str | None
    version: int
    hash: str
    label: str
    variant: str | None
    at: Time


class PromptPinPage(BaseModel):
    """The runs that hold versions of a prompt."""

    pins: list[PromptPin]


class DiffPiece(BaseModel):
    """A passage that both versions have, or one of them."""

    op: Literal["same", "removed", "added"]
    text: str


class DiffText(BaseModel):
    """A message or a partial, in passages."""

    kind: Literal["same", "changed", "removed", "added"]
    name: str
    pieces: list[DiffPiece]


class DiffValue(BaseModel):
    """A value that differs."""

    path: str
    before: Any
    after: Any


class PromptDiff(BaseModel):
    """Two versions side by side: all messages, and what differs beside them. `after` is null for a body that is no version yet."""

    before: int
    after: int | None
    same: bool
    messages: list[DiffText]
    partials: list[DiffText]
    values: list[DiffValue]


class LintFinding(BaseModel):
    """Something to look at; `wrong` says that the prompt cannot be used like this."""

    code: str
    where: str
    text: str
    line: int | None
    column: int | None
    wrong: bool


class LintPage(BaseModel):
    """What is to be looked at in a body."""

    findings: list[LintFinding]


class RenderedPrompt(BaseModel):
    """What would be sent to a model."""

    hash: str
    version: int | None
    messages: list[Any]
    model: str | None
    params: dict[str, Any]


class SnapshotBinding(PromptBinding):
    """A binding of a snapshot, with the name of its prompt.

    With `salt` everybody makes the same choice as the server. A rollout that is damaged is not told.
    """

    prompt: str
    salt: str | None


class PromptSnapshot(BaseModel):
    """All that is live in an environment. `etag` changes with it."""

    env: str
    etag: str
    bindings: list[SnapshotBinding]
    versions: list[PromptVersion]


class EnvQuery(Strict):
    """Which environment; without, the server's own."""

    env: str | None = None


class PromptEventQuery(EnvQuery):
    """Events after `after`, of one environment or all."""

    after: int = Field(0, ge=0)


class PinQuery(Strict):
    """Of one version, or of all."""

    version: int | None = None


class DiffQuery(Strict):
    """Which two versions, by number or hash."""

    before: str
    after: str


class DiffBody(Strict):
    """A body that nobody may have kept yet, and the version that it is laid beside, by number or hash."""

    before: int | str
    body: PromptBody


class SaveVersion(Strict):
    """A version to keep. `contract`: the JSON schema of the variables, for a prompt that is new; `by`: who saves it."""

    body: PromptBody
    note: str = ""
    contract: dict[str, Any] | None = None
    by: str | None = None


class LintBody(Strict):
    """A body to look at."""

    body: PromptBody


class RenderPrompt(Strict):
    """What to fill in: a `body` that nobody has kept yet, a `version` by number or hash, or what is live in `env`."""

    variables: dict[str, Any] = Field(default_factory=dict[str, Any])
    slots: dict[str, list[Any]] = Field(default_factory=dict[str, list[Any]])
    body: PromptBody | None = None
    version: int | str | None = None
    env: str | None = None


class Moving(Strict):
    """Who moves a binding, and why."""

    reason: str = ""
    by: str | None = None


class MoveBinding(Moving):
    """What shall hold: the version of the code, one `version` (until `expires`, a duration), or several by `weights`.

    `sticky` says what keeps its version in a rollout: each run, its thread, or the key that the code gives. `baseline` is the version of
    all who do not meet the `conditions`, and that `guards` give all to. `ramp` has pairs of a duration and a share: with it the versions in
    `weights` have that share together from then on, and the baseline the rest.
    """

    mode: Literal["code", "pinned", "rollout"] = "pinned"
    version: int | str | None = None
    expires: int | float | str | None = None
    weights: dict[int, float] | None = None
    sticky: Literal["run", "thread", "key"] = "run"
    baseline: int | None = None
    conditions: Conditions | None = None
    ramp: list[tuple[int | float | str, float]] = Field(default_factory=list[tuple[int | float | str, float]])
    guards: list[Guarding] = Field(default_factory=list[Guarding])


class ProtectBinding(Moving):
    """Whether only those may move a binding who may release in its environment."""

    protected: bool = True


class RevokeVersion(Moving):
    """Runs that hold the version do when they go on: `repin:<number>`, `pause` or `fail`."""

    policy: str


class RepinRun(Moving):
    """The run that is to hold another version, by number or hash, when it goes on."""

    run: str
    version: int | str


class ReplayRun(Strict):
    """By which versions of prompts it is repeated: those that it held, these instead (by their numbers), or with "current" what is live.

    `by` is in whose name it is started.
    """

    model_config = ConfigDict(strict=True)

    prompts: dict[str, int] | Literal["current"] | None = None
    by: str | None = Field(None, min_length=1, max_length=256)


class UpgradeThread(Moving):
    """The thread whose next run is to take what is live then."""

    thread: str


class UpgradedThread(BaseModel):
    """Whether the thread held a version."""

    upgraded: bool
