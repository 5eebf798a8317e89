"""A journal, looked up by key."""

from __future__ import annotations

import pytest

from agentflow.control import RunPaused
from agentflow.engine.replay import Replay
from agentflow.errors import DuplicateName
from agentflow.records import EntryKind, JournalEntry


def entry(seq: int, key: str, kind: EntryKind = EntryKind.RESULT, **known: object) -> JournalEntry:
    fields: dict[str, object] = {"value": "1", "digest": "d1", "code": "c1", "attempt": 1, "tries": 1, "epoch": 1, **known}
    return JournalEntry(seq=seq, kind=kind, key=key, started_at=0, ended_at=0, **fields)  # pyright: ignore[reportArgumentType] - of a test's own making


def test_records_are_found_by_key_in_any_order() -> None:
    first, second = entry(1, "a#0"), entry(2, "b#0")
    replay = Replay([first, second], 1)
    assert [replay.ask("b#0"), replay.ask("new#0"), replay.ask("a#0")] == [second, None, first]
    assert replay.last == 2


def test_asking_twice_for_one_key_is_refused() -> None:
    replay = Replay([], 1)
    replay.ask("charge:o-1")
    with pytest.raises(DuplicateName, match="charge:o-1"):
        replay.ask("charge:o-1")


def test_an_error_of_an_earlier_attempt_does_not_stand_in_the_way() -> None:
    failed = entry(1, "a#0", EntryKind.ERROR)
    assert Replay([failed], 1).ask("a#0") is failed
    assert Replay([failed], 2).ask("a#0") is None


def test_the_last_try_of_this_attempt_counts_on() -> None:
    tries = [entry(1, "a#0", EntryKind.TRY, tries=1, digest=None), entry(2, "a#0", EntryKind.TRY, tries=2, digest=None)]
    assert Replay(tries, 1).tried("a#0") == tries[1]
    assert Replay(tries, 1).ask("a#0") is None
    assert Replay(tries, 2).tried("a#0") is None


def test_what_an_operator_set_aside_is_not_found_and_its_numbers_are_not_used_again() -> None:
    entries = [entry(1, "a#0"), entry(2, "b#0"), entry(3, "", EntryKind.RESET, value="2", code=None), entry(4, "b#0", value="2")]
    replay = Replay(entries, 1)
    assert replay.ask("a#0") == entries[0]
    assert replay.ask("b#0") == entries[3]
    assert Replay(entries[:3], 1).ask("b#0") is None
    assert Replay(entries[:3], 1).last == 3


@pytest.mark.parametrize(("digest", "code"), [("d1", "c1"), ("d1", "c2"), ("d2", "c1")])
def test_the_same_input_or_the_same_code_is_answered_from_the_record(digest: str, code: str) -> None:
    Replay([entry(1, "a#0")], 1).check(entry(1, "a#0"), digest, code)


def test_another_input_from_other_code_pauses_with_both_sides_of_the_difference() -> None:
    with pytest.raises(RunPaused) as paused:
        Replay([entry(1, "a#0")], 1).check(entry(1, "a#0"), "d2", "c2")
    assert paused.value.difference == {
        "step": "a#0",
        "seq": 1,
        "recorded": {"input": "d1", "code": "c1"},
        "asked": {"input": "d2", "code": "c2"},
    }


def test_code_that_an_operator_accepted_may_ask_as_it_likes_and_no_other() -> None:
    replay = Replay([entry(1, "a#0"), entry(2, "", EntryKind.RESET, value="2", code="c2")], 1)
    replay.check(entry(1, "a#0"), "d2", "c2")
    with pytest.raises(RunPaused):
        replay.check(entry(1, "a#0"), "d2", "c3")


def test_a_try_that_began_is_unsettled_until_its_end_is_recorded_in_this_attempt() -> None:
    began = entry(1, "a#0", EntryKind.TRY)
    failed = entry(2, "a#0", EntryKind.TRY, digest=None)
    assert Replay([began], 1).unsettled("a#0") == 1
    assert Replay([began, failed], 1).unsettled("a#0") == 0
    assert Replay([began, failed], 1).tried("a#0") == failed
    assert Replay([began, failed, entry(3, "a#0", EntryKind.TRY)], 1).unsettled("a#0") == 1
    assert Replay([began, entry(2, "a#0")], 1).unsettled("a#0") == 0
    error = entry(2, "a#0", EntryKind.ERROR)
    assert (Replay([began, error], 1).unsettled("a#0"), Replay([began, error], 2).unsettled("a#0")) == (0, 1)
    assert Replay([began, entry(2, "", EntryKind.RESET, value="1", code=None)], 1).unsettled("a#0") == 0
