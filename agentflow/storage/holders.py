"""Who holds a version of a prompt: what people look at before they take it back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentflow.database.port import Row, Transaction
from agentflow.storage.statements import SQL

HOLDERS = 1_000
"""Runs that are named at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderRecord:
    """A run that holds a version and has not ended."""

    run_id: str
    state: str
    thread: str | None
    prompt: str
    label: str
    number: int
    hash: str
    variant: str | None
    rollout: str | None
    at: int


def of_prompt(prompt: str, number: int | None = None) -> Transaction[list[HolderRecord]]:
    """The runs that hold a version of a prompt, or any, and have not ended; those that took it last come first."""
    found = yield SQL.pins.holders(prompt=prompt, number=number, limit=HOLDERS)
    return [HolderRecord(**_columns(row)) for row in found]


def _columns(row: Row) -> Mapping[str, Any]:
    return {name: row[name] for name in HolderRecord.__slots__}
