"""The statements of this package, by group and name: `SQL.runs.lock` is `sql/runs/lock.sql`."""

from __future__ import annotations

from pathlib import Path

from agentflow.database.port import Statement
from agentflow.database.statements import Statements

FOLDER = Path(__file__).parent
MIGRATIONS = FOLDER / "migrations"
STATEMENTS = Statements(FOLDER)


class Group:
    """The statements of one folder, each read when it is first used."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Statement:
        found = STATEMENTS(f"{self._name}/{name}")
        setattr(self, name, found)
        return found


class SQL:
    """The groups."""

    runs = Group("runs")
    journal = Group("journal")
    transcripts = Group("transcripts")
    joined = Group("joined")
    shown = Group("shown")
    asking = Group("asking")
    waitpoints = Group("waitpoints")
    callbacks = Group("callbacks")
    votes = Group("votes")
    links = Group("links")
    tries = Group("tries")
    audit = Group("audit")
    deliveries = Group("deliveries")
    rungs = Group("rungs")
    inputs = Group("inputs")
    requesters = Group("requesters")
    workers = Group("workers")
    tasks = Group("tasks")
    versions = Group("versions")
    queues = Group("queues")
    starts = Group("starts")
    idempotency = Group("idempotency")
    blobs = Group("blobs")
    list = Group("list")
    tags = Group("tags")
    threads = Group("threads")
    usage = Group("usage")
    generations = Group("generations")
    budgets = Group("budgets")
    grants = Group("grants")
    approval_grants = Group("approval_grants")
    calls = Group("calls")
    prompts = Group("prompts")
    bindings = Group("bindings")
    policies = Group("policies")
    requests = Group("requests")
    guards = Group("guards")
    pins = Group("pins")
    askers = Group("askers")
    chores = Group("chores")
    remains = Group("remains")
    tables = Group("tables")
