"""Runs of experiments: the model is asked anew, and the world answers as it did in the run that is repeated."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from agentflow.database.port import Transaction
from agentflow.engine.context import ReceiveCall, StartCall, StepCall, WaitRequest, WaitResult
from agentflow.engine.conversation import Conversation, Place, recall
from agentflow.engine.receiving import received
from agentflow.engine.replay import Replay, standing
from agentflow.engine.run_context import RunContext
from agentflow.engine.session import Session
from agentflow.engine.tries import recorded
from agentflow.errors import AgentflowError, NotRecorded, PromptError, RunNotFound
from agentflow.records import EntryKind, JournalEntry, RunRecord, WaitKind, WaitpointRecord, WaitState
from agentflow.retry import NO_RETRY
from agentflow.serde import ANY, dumps, loads
from agentflow.storage import experiments, journal, runs, usage, waitpoints
from agentflow.storage.experiments import Trial
from agentflow.storage.inputs import is_given_back
from agentflow.storage.pins import Held, Wanted

_SLEEP = re.compile(r"(^|/)sleep#\d+$")
_DENIED = "It is a run of an experiment: nobody is asked."
_CARRIED = 'Let it be carried out: live=[…] with its name, or tools="live" for all.'
_FORMS = 'Let what people filled in answer: tools="recorded", or take runs that ask for nothing.'
_PEOPLE = ("users", "groups", "requester", "requesters", "escalated")
"""What a question says of those who decide: it may be another one's to decide by the time that it ends."""


@dataclass(frozen=True, slots=True)
class Below:
    """A run that the repeated one waited for; `spoke`: it, or one below it, asked a model."""

    wait: WaitpointRecord
    run: RunRecord
    spoke: bool


@dataclass(frozen=True, slots=True)
class Record:
    """What the repeated run recorded. `answers`: what is asked of the world is answered from it, but for what is called as in `live`.

    `version` is that of the prompt which the experiment tries here.
    """

    trial: Trial
    version: int | None = None
    answers: bool = False
    live: Sequence[str] = ()
    entries: Sequence[JournalEntry] = ()
    waits: Sequence[WaitpointRecord] = ()
    below: Sequence[Below] = ()
    thread: str | None = None
    before: Sequence[str] = ()
    kept: Mapping[str, JournalEntry] = field(default_factory=dict[str, JournalEntry])

    def step(self, call: StepCall, number: int) -> JournalEntry | None:
        """What such a call of this name got; one that is made more often than it was gets what the last one got."""
        places = (f"/{call.name}#", f"/{call.name}:")
        found = [one for one in self.entries if one.digest == call.digest and any(place in f"/{one.key}" for place in places)]
        return found[min(number, len(found) - 1)] if found else None

    def child(self, call: StartCall, number: int) -> Below | None:
        """What such a child run came to."""
        found = [one for one in self.below if (one.run.task, one.run.input) == (call.task, call.payload)]
        return found[min(number, len(found) - 1)] if found else None

    def wait(self, key: str, request: WaitRequest) -> WaitpointRecord | None:
        """How the wait ended for the same: about a call of a tool for that very call, else under the same key; people said it of what
        they were shown.
        """
        asked, said = _about(request.subject), _shown(loads(dumps(request.subject)))
        ended = [one for one in self.waits if one.kind is request.kind and one.state not in (WaitState.PENDING, WaitState.CANCELLED)]
        if asked is not None:
            return next((one for one in ended if _about(loads(one.subject)) == asked), None)
        same = request.kind not in (WaitKind.APPROVAL, WaitKind.INPUT)
        return next((one for one in ended if one.key == key and (same or _shown(loads(one.subject)) == said)), None)


def record_for(run: RunRecord) -> Transaction[Record | None]:
    """What answers a run of an experiment; None for any other run."""
    trial = Trial.read(run.started_by)
    if trial is None:
        return None
    known = yield from experiments.find(trial.prompt, trial.experiment)
    answers = bool(trial.of) and (known is None or known.tools == "recorded")
    version = yield from experiments.tried(run)
    record = Record(trial, version, answers, () if known is None else known.live)
    with suppress(RunNotFound):
        of = yield from runs.get(trial.of)
        entries = standing((yield from journal.load(of.key)))
        # What a later attempt of it tried anew counts as that one found it.
        waits = list({one.key or one.id: one for one in (yield from waitpoints.of_run(of.key))}.values())
        kept = {one.key: one for one in entries}
        looked = kept.get("thread.history#0")
        said = (yield from recall(of.thread or "", looked.value or "0")).messages if looked is not None else ()
        done = {one.key: one for one in entries if one.kind in (EntryKind.RESULT, EntryKind.ERROR)}
        below = (yield from _below(waits)) if answers else ()
        return replace(record, entries=list(done.values()), waits=waits, below=below, thread=of.thread, before=said, kept=kept)
    return record


def _below(waits: Sequence[WaitpointRecord]) -> Transaction[list[Below]]:
    found: list[Below] = []
    for one in waits:
        if one.kind is WaitKind.CHILD and one.target is not None and one.state in (WaitState.ANSWERED, WaitState.FAILED):
            with suppress(RunNotFound):
                run = yield from runs.get(one.target)
                found.append(Below(one, run, (yield from usage.of_scope(f"run:{run.key}")).calls > 0))
    return found


class TrialContext(RunContext):
    """What the code of a run of an experiment can reach.

    What it asks of the world is answered from the record of the run that it repeats, or carried out, as the experiment says. It asks
    nobody, tells threads nothing, and does not sleep through what that run slept through. Once it has asked for something that is not
    recorded, it goes no further, whatever its code makes of that.
    """

    def __init__(
        self,
        session: Session,
        replay: Replay,
        known: dict[str, WaitpointRecord],
        caught_up: Callable[[], Coroutine[Any, Any, None]],
        record: Record,
    ) -> None:
        super().__init__(session, replay, known, caught_up)
        self._record = record
        self._times: Counter[tuple[str, str]] = Counter()
        self._agreed: set[str] = set()
        self._left: AgentflowError | None = None
        self._chosen, self.prompt = self.prompt, self._tested
        if record.thread is not None:
            place = Place(self._session, self._replay, self.key, self._ask, self.wait, self._knows)
            self.thread = _Listening(record.thread, place, record.before)
        if record.answers:
            self.side_by_side = self._race

    async def step(self, key: str, call: StepCall) -> Any:
        self._go_on()
        if not self._answers(call.name) or call.inner or not call.digest or call.options.kind == "llm":
            return await super().step(key, call)
        number = self._number(call.name, call.digest)
        if self.recorded(key):
            return await super().step(key, call)
        found = self._record.step(call, number)
        if found is None:
            raise self._leave(f"{call.name} was never called with that")

        async def told() -> Any:
            return recorded(found, call)

        options = replace(call.options, retry=NO_RETRY)
        return await super().step(key, replace(call, body=told, options=options, rescue=None, consent=None))

    async def wait(self, key: str, request: WaitRequest) -> WaitResult:
        self._go_on()
        if request.kind is WaitKind.TIMER:
            skipped = self._record.answers and _SLEEP.search(key) is not None
            return WaitResult("", WaitState.ANSWERED, None, None) if skipped else await super().wait(key, request)
        title = repr(request.subject.get("title") or key)
        if self._answers(request.subject.get("tool", "")):
            self._agreed.add(request.subject.get("call", ""))
            return await self._told(key, self._record.wait(key, request), f"nobody answered {title}")
        if request.kind is WaitKind.APPROVAL:
            answer = dumps({"approved": False, "reason": _DENIED})
            return WaitResult("", WaitState.ANSWERED, answer, self._record.trial.name, dumps(request.subject))
        if request.kind is WaitKind.INPUT:
            raise self._stop(NotRecorded(f"{_DENIED} It asks for {title}.", hint=_FORMS, run_id=self.run_id))
        return await super().wait(key, request)

    async def open(self, key: str, request: WaitRequest) -> str:
        self._go_on()
        if self._record.answers:
            raise self._leave("what others answer at an address is not asked again")
        return await super().open(key, request)

    async def child(self, key: str, call: StartCall) -> WaitResult:
        self._go_on()
        number = self._number(call.task, call.payload)
        if not self._answers(call.task):
            if call.call is not None and call.call in self._agreed:
                raise self._leave(f"people said yes to {call.task} once, not to this", "Name the tool, too, to have it denied: live=[…].")
            return await super().child(key, self._trying(call, ""))
        found = self._record.child(call, number)
        if found is not None and found.spoke:
            return await super().child(key, self._trying(call, found.run.id))
        return await self._told(key, None if found is None else found.wait, f"{call.task} was never started with that")

    async def start(self, key: str, call: StartCall) -> str:
        self._go_on()
        if not self._answers(call.task):
            return await super().start(key, self._trying(call, ""))
        return loads(self._kept(key, f"{call.task} was never started").value or "null")

    async def receive(self, key: str, call: ReceiveCall) -> str | None:
        self._go_on()
        return received(self._kept(key, f"nobody sent that into {call.name}"))

    # -- how ----------------------------------------------------------------------------------------------------------------------------

    async def _race(self, key: str, waits: Sequence[Awaitable[Any]], *, every: bool) -> Any:
        for one in waits:
            close = getattr(one, "close", None)
            if close is not None:
                close()
        raise self._leave("waits side by side are not repeated")

    def _answers(self, name: str) -> bool:
        return self._record.answers and name not in self._record.live

    def _number(self, name: str, given: str) -> int:
        self._times[name, given] += 1
        return self._times[name, given] - 1

    def _trying(self, call: StartCall, of: str) -> StartCall:
        """A run below this one is a run of the experiment, too, of no thread, and never one that is there already."""
        alone = replace(call.options, thread=None, idempotency_key=None, dedupe_key=None, debounce=None)
        return replace(call, options=replace(alone, started_by=self._record.trial.below(of).name))

    async def _tested(self, wanted: Wanted) -> Held:
        """The version that is tried, whatever label leads elsewhere; what code insists on by its number stays."""
        version = self._record.version
        if wanted.prompt != self._record.trial.prompt or wanted.version is not None or version is None:
            return await self._chosen(wanted)
        self._go_on()
        held = await self._chosen(replace(wanted, override=version))
        if held.number != version:
            message = f"v{version} of {wanted.prompt} is tried, and the run was given v{held.number}: {held.reason or 'it held that'}."
            raise self._stop(PromptError(message, hint="Take a version that its code can fill and that stands.", prompt=wanted.prompt))
        return held

    async def _told(self, key: str, found: WaitpointRecord | None, what: str) -> WaitResult:
        """The end of a wait that the repeated run had, recorded here: that one may be deleted before this one ends."""
        place = f"{key}/recorded"
        if found is None and not self.recorded(place):
            raise self._leave(what)

        async def told() -> Any:
            return [] if found is None else [found.id, found.state, found.answer, found.answered_by, found.subject]

        id, state, answer, by, subject = await super().step(place, StepCall("recorded", told, ANY, ""))
        return WaitResult(id, WaitState(state), answer, by, subject)

    def _kept(self, key: str, what: str) -> JournalEntry:
        found = self._record.kept.get(key)
        if found is None or is_given_back(found):
            raise self._leave(what)
        return found

    def _go_on(self) -> None:
        """Tools hide errors from the model, and code from itself: what is not recorded is not gone on without."""
        if self._left is not None:
            raise self._left

    def _leave(self, what: str, hint: str = _CARRIED) -> AgentflowError:
        return self._stop(NotRecorded(f"In {self._record.trial.of or 'no run'} {what}.", hint=hint, run_id=self.run_id))

    def _stop(self, error: AgentflowError) -> AgentflowError:
        self._left = error
        return error


class _Listening(Conversation):
    """A thread as the repeated run found it. Nothing is added to it."""

    def __init__(self, id: str, place: Place, before: Sequence[str]) -> None:
        super().__init__(id, place)
        self._before = before

    async def turn(self) -> None:
        """It has no turn."""

    async def history(self) -> list[str]:
        return list(self._before)

    async def append(self, messages: Sequence[str]) -> None:
        """What it says is nobody's to hear."""

    async def sum_up(self, count: int, summary: str) -> None:
        """It sums up for itself."""

    async def heard(self, key: str) -> Any | None:
        return None


def _shown(subject: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in subject.items() if name not in _PEOPLE}


def _about(subject: Mapping[str, Any]) -> Any:
    """Which call of a tool people are asked about, whatever id the model gave it; None for another question."""
    if "tool" not in subject:
        return None
    return subject["tool"], subject.get("digest") or dumps(subject.get("body"))
