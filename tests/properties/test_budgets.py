"""However many calls are under way at once, a budget is exceeded by no more than it says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentflow.storage.terms import Grant, Terms, Used, crowded, shortages

NOTHING = Grant()


def play(limit: int, sizes: list[int], order: list[int]) -> tuple[int, list[int]]:
    """Calls of these sizes ask to begin whenever they may, and end in this order: what was used, and what was under way at the limit.

    Each number of `order` says which of the calls under way ends next; all others have asked before.
    """
    terms = Terms(id="b", scope="run:1", owner=1, on_limit="fail", limits={"tokens": limit})
    waiting, open_, done = list(sizes), list[int](), list[int]()
    at_the_limit: list[int] = []
    for end in order:
        while waiting:
            used = Used({"tokens": sum(done)}, {"tokens": max(done, default=0)}, {}, len(done), len(open_))
            if shortages(terms, NOTHING, used) or crowded(terms, NOTHING, used):
                break
            open_.append(waiting.pop(0))
        if not open_:
            break
        before = sum(done)
        if before < limit <= before + sum(open_):
            at_the_limit = list(open_)
        done.append(open_.pop(end % len(open_)))
    return sum(done), at_the_limit


@given(st.integers(1, 500), st.lists(st.integers(1, 200), max_size=30), st.lists(st.integers(0, 10), min_size=30, max_size=30))
def test_a_budget_is_exceeded_by_no_more_than_the_calls_that_were_under_way(limit: int, sizes: list[int], order: list[int]) -> None:
    spent, under_way = play(limit, sizes, order)
    assert spent < limit + sum(under_way) or spent <= limit


@given(st.integers(1, 500), st.integers(1, 200), st.integers(1, 30), st.lists(st.integers(0, 10), min_size=30, max_size=30))
def test_where_no_call_is_larger_than_one_before_it_is_exceeded_by_less_than_one_call(
    limit: int, size: int, count: int, order: list[int]
) -> None:
    sizes = [max(1, size - number) for number in range(count)]
    spent, _ = play(limit, sizes, order)
    assert spent < limit + size


@given(st.integers(1, 500), st.lists(st.integers(1, 200), max_size=30))
def test_one_call_after_the_other_exceeds_it_by_less_than_the_last(limit: int, sizes: list[int]) -> None:
    terms = Terms(id="b", scope="run:1", owner=1, on_limit="fail", limits={"tokens": limit})
    done: list[int] = []
    for size in sizes:
        if shortages(terms, NOTHING, Used({"tokens": sum(done)}, {"tokens": max(done, default=0)}, {}, len(done), 0)):
            break
        done.append(size)
    assert sum(done[:-1]) < limit
    assert sum(sizes) < limit or sum(done) >= limit
