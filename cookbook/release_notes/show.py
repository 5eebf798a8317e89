"""The demo itself: a worker process that is killed, and a terminal that shows what the run says."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from agentflow import Agentflow, RunHandle
from agentflow.errors import WaitpointError
from agentflow.records import EntryKind
from agentflow.server.serve import serve
from agentflow.streams import events as e
from cookbook.release_notes.agent import OUTPUT, TASKS, WHY, release_notes

DIM, BOLD, RED, GREEN, END = ("\033[2m", "\033[1m", "\033[31m", "\033[32m", "\033[0m") if sys.stdout.isatty() else ("",) * 5


def say(text: str, style: str = "") -> None:
    """A line of the demo's own."""
    print(f"\n{style}▌ {text}{END}", flush=True)


class Demo:
    """One run of the agent, watched."""

    def __init__(self, app: Agentflow, directory: str, url: str) -> None:
        self.app = app
        self.url = url
        self.directory = directory
        self.worker: asyncio.subprocess.Process | None = None
        self.killed = False
        self.recorded_before: dict[str, set[str]] = {}
        self.results = 0
        self.asking: asyncio.Task[None] | None = None

    async def start_worker(self) -> None:
        """Start a worker process."""
        self.worker = await asyncio.create_subprocess_exec(sys.executable, "-m", "cookbook.release_notes.worker", self.directory)
        say(f"worker process {self.worker.pid} starts", BOLD)

    async def stop_worker(self) -> None:
        """Let the worker finish."""
        if self.worker is not None and self.worker.returncode is None:
            self.worker.terminate()
            await self.worker.wait()

    async def kill_worker(self, run: RunHandle[Any]) -> None:
        """Kill the worker as the kernel would, note what was recorded, and start another."""
        assert self.worker is not None  # noqa: S101
        self.killed = True
        self.worker.kill()
        await self.worker.wait()
        self.recorded_before = await self.recorded(run)
        count = sum(map(len, self.recorded_before.values()))
        say(f"kill -9 {self.worker.pid}, in the middle of the model's answer. {count} steps were recorded; they will not run again.", RED)
        await self.start_worker()

    async def recorded(self, run: RunHandle[Any]) -> dict[str, set[str]]:
        """The keys of all recorded steps, by run: the agent's and those of its tools, which are runs of their own."""
        runs = [run.id, *(child.id for child in await self.app.runs.list(parent=run.id))]
        return {one: {entry.key for entry in await self.app.runs.journal(one) if entry.kind is EntryKind.RESULT} for one in runs}

    async def watch(self, run: RunHandle[Any]) -> None:
        """Show the run's events to its end; kill the worker once it has read diffs and speaks again."""
        async for entry in run.events():
            show(entry.event)
            if isinstance(entry.event, e.ToolOutput):
                self.results += 1
            if isinstance(entry.event, e.ReasoningDelta | e.TextDelta) and self.results >= 1 and not self.killed:
                await self.kill_worker(run)
            if isinstance(entry.event, e.ApprovalRequested):
                self.asking = asyncio.create_task(self.ask(entry.event))
            if isinstance(entry.event, e.ApprovalResolved) and self.asking is not None:
                self.asking.cancel()
                say(f"{entry.event.decision} by {entry.event.by}", GREEN)

    async def ask(self, asked: e.ApprovalRequested) -> None:
        """Have a person decide: at this terminal, or by HTTP; without a terminal the answer is yes."""
        by_http = f"{self.url}/v1/waitpoints/{asked.approval}/decisions"
        say(f"or answer by HTTP: curl -X POST {by_http} -H 'content-type: application/json' -d '{{\"approved\": true}}'", DIM)
        if not sys.stdin.isatty():
            say("no terminal: the demo approves by itself", GREEN)
            await self.app.waitpoints.approve(asked.approval, by="demo")
            return
        print(f"\n{BOLD}Write this to {OUTPUT}? [y/n] {END}", end="", flush=True)
        answer = await line_of_input()
        me = os.environ.get("USER", "you")
        try:
            if answer.strip().lower().startswith("y"):
                await self.app.waitpoints.approve(asked.approval, by=me)
            else:
                await self.app.waitpoints.deny(asked.approval, by=me, reason="not like this")
        except WaitpointError as error:
            say(str(error))

    async def verdict(self, run: RunHandle[Any]) -> int:
        """Compare the journal with the lines that step bodies wrote outside of it."""
        bodies: Counter[tuple[str, str]] = Counter()
        for line in Path(os.environ["RELEASE_NOTES_BODIES"]).read_text(encoding="utf-8").splitlines():
            run_id, _, key = line.partition(" ")
            bodies[run_id, key] += 1
        again = [name for name, count in bodies.items() if count > 1 and name[1] in self.recorded_before.get(name[0], ())]
        record = await run.get()
        say(
            f"epoch {record.epoch}, attempt {record.attempt}: {sum(bodies.values())} step bodies of tools ran, {len(again)} of them twice",
            BOLD,
        )
        for name in again:
            say(f"{name} ran again after it was recorded", RED)
        say("kill -9 lost nothing recorded and repeated nothing recorded" if not again else "this is a defect", RED if again else GREEN)
        return 1 if again or not self.killed else 0


def show(event: e.Event | e.UnknownEvent) -> None:
    """One event, for a terminal."""
    match event:
        case e.ReasoningDelta(delta=delta):
            print(f"{DIM}{delta}{END}", end="", flush=True)
        case e.TextDelta(delta=delta):
            print(delta, end="", flush=True)
        case e.ToolInput(name=name, input=given) if name == "write_notes":
            print(f"\n\n{given['text'] if isinstance(given, dict) and 'text' in given else given}")
        case e.ToolInput(name=name, input=given):
            print(f"\n  → {name} {given}", flush=True)
        case e.RunAttempt(epoch=epoch, reason=reason, supersedes=void) if reason == "worker_lost":
            say(f"another worker goes on (epoch {epoch}); void is only what was not recorded: {', '.join(void) or 'nothing'}", BOLD)
        case e.RunFailed(error=error):
            say(f"the run failed: {error}", RED)
        case _:
            pass


async def line_of_input() -> str:
    """A line from the terminal; given up when the question is answered elsewhere, which a blocked thread could not be."""
    loop = asyncio.get_running_loop()
    typed: asyncio.Future[str] = loop.create_future()
    loop.add_reader(sys.stdin, lambda: typed.done() or typed.set_result(sys.stdin.readline()))
    try:
        return await typed
    finally:
        loop.remove_reader(sys.stdin)


async def demonstrate(directory: str) -> int:
    """The whole demo; 0 when the run completed, the worker was killed, and no recorded step ran twice."""
    model = release_notes.agent_options.get("model")
    say(f"model: {model if isinstance(model, str) else 'scripted'} ({WHY})", BOLD)
    app = Agentflow(TASKS, directory=directory, worker=False)
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(app, port=0, ready=url.set_result))
    demo = Demo(app, directory, await url)
    try:
        await demo.start_worker()
        run = await app.start("release_notes", prompt="Draft the release notes and write them.")
        await demo.watch(run)
        await run.result(timeout="5s")
        return await demo.verdict(run)
    finally:
        await demo.stop_worker()
        serving.cancel()
        await asyncio.wait({serving})
