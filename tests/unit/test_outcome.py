"""How an epoch of a run ended: what is latched counts before what the code made of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agentflow import NonRetryable, Retry
from agentflow.control import LeaseLost, RunPaused, Suspend
from agentflow.engine.outcome import Cancelled, Completed, Dropped, Ending, Failed, Paused, Retrying, decide

TWICE = Retry(attempts=2, initial="1s", jitter=0)
DIFFERENCE = RunPaused({"step": "fetch#0", "seq": 1})


def ending(**known: Any) -> Ending:
    nothing: dict[str, Any] = {"value": None, "error": None, "latched": None, "cancel_reason": None, "timed_out": False}
    return Ending(**{**nothing, **known})


@pytest.mark.parametrize(
    ("known", "kind"),
    [
        ({"value": 1}, Completed),
        ({"error": ValueError()}, Retrying),
        ({"error": NonRetryable()}, Failed),
        ({"error": asyncio.CancelledError(), "cancel_reason": "enough"}, Cancelled),
        ({"value": 1, "cancel_reason": "enough"}, Cancelled),
        ({"error": ValueError(), "cancel_reason": "enough"}, Cancelled),
        ({"value": 1, "latched": Suspend()}, Dropped),
        ({"error": ValueError(), "latched": LeaseLost("run_1")}, Dropped),
        ({"value": 1, "latched": DIFFERENCE}, Paused),
        ({"value": 1, "timed_out": True}, Failed),
        ({"error": ValueError(), "timed_out": True}, Failed),
        ({"error": asyncio.CancelledError()}, Failed),
    ],
)
def test_the_outcome_follows_from_what_the_engine_knows(known: dict[str, Any], kind: type[object]) -> None:
    assert isinstance(decide(ending(**known), TWICE, 1, 0), kind)


def test_a_failure_with_no_attempts_left_is_final_and_keeps_the_error() -> None:
    outcome = decide(ending(error=ValueError("no")), TWICE, 2, 0)
    assert isinstance(outcome, Failed)
    assert (outcome.error.code, outcome.error.type, outcome.error.message) == ("error", "ValueError", "no")


def test_a_retry_says_when() -> None:
    outcome = decide(ending(error=ValueError("no")), TWICE, 1, 0)
    assert isinstance(outcome, Retrying)
    assert outcome.delay == 1_000_000


def test_a_timeout_and_a_divergence_have_codes_of_their_own() -> None:
    late, other = decide(ending(timed_out=True), TWICE, 1, 0), decide(ending(latched=DIFFERENCE), TWICE, 1, 0)
    assert isinstance(late, Failed)
    assert isinstance(other, Paused)
    assert (late.error.code, other.error.code) == ("timeout", "divergence")
    assert (other.error.details or {})["step"] == "fetch#0"
