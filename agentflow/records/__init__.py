"""What is stored, as frozen records, and the states they pass through."""

from __future__ import annotations

from agentflow.records.fleet import OURS, QueueRecord, TaskRecord, WorkerRecord
from agentflow.records.ids import new_id
from agentflow.records.runs import Failure, JournalEntry, MessageRecord, RunRecord, RunUsage, ThreadRecord, UsageRecord, dollars
from agentflow.records.states import EntryKind, RunState, WaitKind, WaitState, may_become
from agentflow.records.waitpoints import DeliveryRecord, DeliveryState, GrantedCall, GrantRecord, WaitpointRecord

__all__ = [
    "OURS",
    "DeliveryRecord",
    "DeliveryState",
    "EntryKind",
    "Failure",
    "GrantRecord",
    "GrantedCall",
    "JournalEntry",
    "MessageRecord",
    "QueueRecord",
    "RunRecord",
    "RunState",
    "RunUsage",
    "TaskRecord",
    "ThreadRecord",
    "UsageRecord",
    "WaitKind",
    "WaitState",
    "WaitpointRecord",
    "WorkerRecord",
    "dollars",
    "may_become",
    "new_id",
]
