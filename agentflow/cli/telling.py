"""A run told as it goes, line by line: nothing is drawn over, so it reads the same in a terminal, a log and a pipe."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from agentflow.cli.screen import clock_time, colour, moment, screen, short, span, text
from agentflow.streams import events as e
from agentflow.streams.codec import StoredEvent
from agentflow.streams.fold import Fold, Part

if TYPE_CHECKING:
    from rich.text import Text

MARGIN = " " * 10
"""Below the time, so that what a model says stands apart from what happens."""
_SPEAKING = frozenset({"llm", "sleep", "child"})
"""Kinds of steps that tell of themselves while they run."""


class Teller:
    """Prints the events of one run. `state` is the last that the run said of itself."""

    def __init__(self) -> None:
        self.fold = Fold()
        self._screen = screen()
        self._speaking: str | None = None
        self._began: int | None = None
        self._now = 0
        self.noted = False
        self.used: dict[str, str] = {}
        self._seen: set[str] = set()
        self._named: set[str] = set()

    @property
    def state(self) -> str:
        """Where the run is."""
        return self.fold.state

    def tell(self, entry: StoredEvent) -> None:
        """Print what an event says that was not said before."""
        void = self._void(entry.event)
        if not self.fold.apply(entry):
            return
        self._now = entry.ts
        self._began = entry.ts if self._began is None else self._began
        telling = _TELLINGS.get(type(entry.event))
        if telling is not None:
            telling(self, entry.event)
        for name in void:
            self._hush()
            self._screen.print(text(f"{MARGIN}⌫ what {name} said above is void", "yellow"), soft_wrap=True)

    def again(self) -> None:
        """Forget what was told: the run is told from its start, or goes on under other numbers."""
        state, self.fold = self.fold.state, Fold()
        self.fold.state = state

    def note(self, words: str, *below: Any) -> None:
        """Tell what the stream does not say: why nothing happens."""
        self.line("…", "dim", text(words, "dim"))
        for one in below:
            self.below(one)
        self.noted = True

    def line(self, mark: str, style: str, *words: Any) -> None:
        """A line of what happened."""
        self._hush()
        self.noted = False
        made = text(f"{clock_time(self._now)}  ", "dim") + text(f"{mark} ", style)
        for word in words:
            made += word if not isinstance(word, str) else text(word)
        self._screen.print(made, soft_wrap=True)

    def below(self, *words: Any) -> None:
        """A line under the one before."""
        self._hush()
        made = text(f"{MARGIN}  ")
        for word in words:
            made += word if not isinstance(word, str) else text(word)
        self._screen.print(made, soft_wrap=True)

    def speak(self, part: str, delta: str) -> None:
        """What a model says, as it comes."""
        kind = self.fold.parts[part].kind if part in self.fold.parts else "text"
        style = "dim italic" if kind == "reasoning" else ""
        if self._speaking != part:
            self._hush()
            self._screen.print(text(f"{MARGIN}{'┆' if kind == 'reasoning' else '│'} ", "dim"), end="")
            self._speaking = part
        edge = f"\n{MARGIN}{'┆' if kind == 'reasoning' else '│'} "
        for place, words in enumerate(delta.split("\n")):
            if place:
                self._screen.print(text(edge, "dim"), end="")
            self._screen.print(text(words, style), end="", soft_wrap=True)
        self._screen.file.flush()

    def glance(self) -> None:
        """Some time has passed: name the steps that still run, each once."""
        under_way = {one.id: one for one in self.fold.steps.values() if one.state == "running" and one.kind not in _SPEAKING}
        for key, step in under_way.items():
            if key in self._seen and key not in self._named:
                again = f" (try {step.attempt})" if step.attempt > 1 else ""
                self.line("·", "dim", text(f"{step.name}{again} …", "dim"))
                self._named.add(key)
        self._seen = set(under_way)
        self._named &= self._seen

    def moment(self, millis: int) -> str:
        """A time for people, seen from the last event."""
        return moment(millis, self._now)

    def took(self) -> str:
        """How long the run has been going on, as far as it was seen."""
        return span((self._now - (self._began or self._now)) * 1_000)

    def step_name(self, step: str | None) -> str:
        """The name of a step that was heard of, else its key."""
        known = self.fold.steps.get(step or "")
        return (known.name if known else "") or (step or "a step")

    def _hush(self) -> None:
        if self._speaking is not None:
            self._screen.print()
            self._speaking = None

    def _void(self, event: e.Event) -> list[str]:
        """The steps whose words stand on the screen and do not count any more."""
        if isinstance(event, e.RunAttempt):
            steps = set(event.supersedes)
        elif isinstance(event, e.StepRetrying):
            steps = {event.step}
        else:
            return []
        said = [part for part in self.fold.parts.values() if part.step in steps and self._counted(part)]
        return list(dict.fromkeys(self.step_name(part.step) for part in said))

    def _counted(self, part: Part) -> bool:
        step = self.fold.steps.get(part.step or "")
        return bool(part.text) and (step is None or step.state != "completed")


def _started(teller: Teller, event: e.RunStarted) -> None:
    again = f" (attempt {event.attempt})" if event.attempt > 1 else ""
    teller.line("▶", "cyan", text(event.task, "bold"), again)


def _attempt(teller: Teller, event: e.RunAttempt) -> None:
    if event.reason != "resume":
        again = f" (attempt {event.attempt})" if event.reason == "retry" else ""
        teller.line("↻", "yellow", text(f"{_REASONS.get(event.reason, event.reason)}{again}", "yellow"))
    elif teller.noted:
        teller.line("▶", "dim", text("goes on", "dim"))


_REASONS = {
    "worker_lost": "its worker was lost, another goes on",
    "retry": "the run is tried again",
    "deploy": "its worker shut down, another goes on",
}


def _waiting(teller: Teller, event: e.RunWaiting) -> None:
    # Questions and children have told of themselves, and what goes on being silent is told in words of its own.
    if event.on in _WAITS:
        until = f" until {teller.moment(event.until)}" if event.until else ""
        teller.line("…", "dim", text(f"waits for {_WAITS[event.on]}{until}", "dim"))


_WAITS = {"retry": "its next attempt", "operator": "an operator: `agentflow runs show` tells why"}


def _step_completed(teller: Teller, event: e.StepCompleted) -> None:
    if event.step in teller.fold.items.get(event.name.removeprefix("stream."), ()):
        return  # The item that it appended has told of itself.
    took = "" if event.duration_ms is None else text(f"  {span(event.duration_ms * 1_000)}", "dim")
    used = teller.used.pop(event.step, "")
    teller.line("✓", "green", event.name, took, text(f"  {used}" if used else "", "dim"), _shown(event.output))


def _shown(value: Any) -> Text:
    return text("" if value is None else f"  {short(value)}", "dim")


def _step_retrying(teller: Teller, event: e.StepRetrying) -> None:
    delay = f", again in {span(event.delay_ms * 1_000)}" if event.delay_ms else ""
    teller.line("↻", "yellow", f"{teller.step_name(event.step)} failed{delay}: ", text(_problem(event.error), "yellow"))


def _step_failed(teller: Teller, event: e.StepFailed) -> None:
    teller.line("✗", "red", f"{event.name or teller.step_name(event.step)}: ", text(_problem(event.error), "red"))


def _problem(error: e.Record | None) -> str:
    known = error or {}
    kind = known.get("type") or ""
    told = known.get("message") or known.get("code") or "no reason given"
    return short(f"{kind}: {told}" if kind else told, 300)


def _tool_input(teller: Teller, event: e.ToolInput) -> None:
    teller.line("→", "blue", text(event.name, "bold"), text(f"  {short(event.input)}", "dim"))


def _tool_output(teller: Teller, event: e.ToolOutput) -> None:
    if not event.preliminary:
        teller.line("←", "blue", _call(teller, event.call), _shown(event.output))


def _tool_error(teller: Teller, event: e.ToolError) -> None:
    teller.line("←", "red", _call(teller, event.call), "  ", text(_problem(event.error), "red"))


def _tool_denied(teller: Teller, event: e.ToolDenied) -> None:
    teller.line("←", "yellow", _call(teller, event.call), text(f"  denied{_because(event.reason)}", "yellow"))


def _call(teller: Teller, call: str) -> Text:
    known = teller.fold.calls.get(call)
    return text((known.name if known else "") or call, "bold")


def _because(reason: str | None) -> str:
    return f": {reason}" if reason else ""


def _asked(teller: Teller, event: e.ApprovalRequested) -> None:
    until = text(f"  until {teller.moment(event.expires_at)}", "dim") if event.expires_at else ""
    teller.line("?", "bold yellow", text(event.title, "bold yellow"), until)
    if event.input is not None:
        teller.below(text(short(event.input, 400)))
    teller.below(text("answer  ", "dim"), text(f"agentflow approve {event.approval}", "cyan"))
    teller.below(text("     or  ", "dim"), text(f"agentflow approve {event.approval} --deny --reason '…'", "cyan"))


def _answered(teller: Teller, event: e.ApprovalResolved) -> None:
    title = teller.fold.approvals[event.approval].title
    by = f" by {event.by}" if event.by else ""
    style = "green" if event.decision == "approved" else "red"
    teller.line(
        "✓" if event.decision == "approved" else "✗",
        style,
        text(event.decision, style),
        f"{by}{_because(event.reason)}",
        text(f"  {title}", "dim"),
    )


def _child(teller: Teller, event: e.ChildStarted) -> None:
    teller.line("↳", "cyan", text(event.name, "bold"), text(f"  {event.run}", "dim"))


def _child_end(teller: Teller, event: e.ChildFinished) -> None:
    teller.line("↲", "cyan", colour({"answered": "completed"}.get(event.status, event.status)), text(f"  {event.run}", "dim"))


def _usage(teller: Teller, event: e.Usage) -> None:
    parts = [
        f"{event.input} in" if event.input else "",
        f"{event.output} out" if event.output else "",
        f"${event.cost:.4f}" if event.cost else "",
    ]
    told = ", ".join(part for part in parts if part)
    if told and event.step:
        teller.used[event.step] = f"{event.model or ''} {told}".strip()


def _data(teller: Teller, event: e.Data) -> None:
    teller.line("•", "magenta", event.name, _shown(event.data))


def _item(teller: Teller, event: e.StreamItem) -> None:
    teller.line("•", "magenta", event.stream, _shown(event.data), text(f"  {event.origin}" if event.origin else "", "dim"))


def _progress(teller: Teller, event: e.RunProgress) -> None:
    teller.line("•", "magenta", text(short(dict(event.data)), "magenta"))


def _completed(teller: Teller, event: e.RunCompleted) -> None:
    teller.line("✓", "bold green", text("completed", "bold green"), text(f"  {teller.took()}", "dim"))
    words = event.output if isinstance(event.output, str) else "" if event.output is None else short(event.output, 2_000)
    # An agent's answer was told as it came.
    for line in words.splitlines() if not (words and teller.fold.text.endswith(words)) else ():
        teller.below(line)


def _failed(teller: Teller, event: e.RunFailed) -> None:
    teller.line("✗", "bold red", text("failed", "bold red"), text(f"  {teller.took()}  ", "dim"), text(_problem(event.error), "red"))
    if event.error.get("hint"):
        teller.below(str(event.error["hint"]))


def _stopped(teller: Teller, event: e.RunCancelled | e.RunExpired) -> None:
    word = "cancelled" if isinstance(event, e.RunCancelled) else "expired"
    teller.line("✗", "bold", text(word, "bold"), _because(event.reason))


_TELLINGS: dict[type[Any], Callable[[Teller, Any], None]] = {
    e.RunQueued: lambda teller, event: teller.line("…", "dim", text("queued", "dim")),
    e.RunStarted: _started,
    e.RunAttempt: _attempt,
    e.RunWaiting: _waiting,
    e.RunProgress: _progress,
    e.StepRetrying: _step_retrying,
    e.StepCompleted: _step_completed,
    e.StepFailed: _step_failed,
    e.TextDelta: lambda teller, event: teller.speak(event.part, event.delta),
    e.ReasoningDelta: lambda teller, event: teller.speak(event.part, event.delta),
    e.ToolInput: _tool_input,
    e.ToolOutput: _tool_output,
    e.ToolError: _tool_error,
    e.ToolDenied: _tool_denied,
    e.ApprovalRequested: _asked,
    e.ApprovalResolved: _answered,
    e.ChildStarted: _child,
    e.ChildFinished: _child_end,
    e.Usage: _usage,
    e.Data: _data,
    e.StreamItem: _item,
    e.RunCompleted: _completed,
    e.RunFailed: _failed,
    e.RunCancelled: _stopped,
    e.RunExpired: _stopped,
}
