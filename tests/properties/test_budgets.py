"""However large calls turn out, however many want to begin at once and however they end: what a budget says of its limit holds."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from agentflow.storage.terms import Grant, Terms, Used, crowded, shortages, strictest

NOTHING = Grant()


@dataclass(frozen=True)
class Call:
    """What it uses, and what it says that it uses at most, if it says so."""

    tokens: int
    most: int | None


def terms(limit: int, name: str = "tokens") -> Terms:
    return Terms(id="b", scope="run:1", owner=1, on_limit="fail", limits={name: limit})


sizes = st.integers(1, 200)
unknown_calls = st.builds(Call, sizes, st.none())
known_calls = st.tuples(sizes, st.integers(0, 200)).map(lambda drawn: Call(drawn[0], sum(drawn)))
calls = unknown_calls | known_calls
orders = st.lists(st.integers(0, 10), min_size=40, max_size=40)


def play(budget: Terms, asking: list[Call], order: list[int]) -> tuple[int, list[Call], int]:
    """Calls ask to begin whenever they may, and end in this order. Returns what was used, the calls that were under way when the last

    one began, and the most that ever were. Each number of `order` says which of the calls under way ends next.
    """
    [name] = budget.limits
    waiting, open_, spent, last, most = list(asking), list[Call](), 0, list[Call](), 0
    for end in order:
        while waiting:
            used = Used({name: spent}, {}, [{name: one.most} for one in open_])
            if shortages(budget, NOTHING, used) or crowded(budget, NOTHING, used, {name: waiting[0].most}):
                break
            open_.append(waiting.pop(0))
            last, most = list(open_), max(most, len(open_))
        if not open_:
            break
        ended = open_.pop(end % len(open_))
        spent += 1 if name == "turns" else ended.tokens
    return spent + sum(1 if name == "turns" else one.tokens for one in open_), last, most


@given(st.integers(1, 500), st.lists(calls, max_size=30), orders)
def test_a_limit_is_exceeded_by_less_than_one_of_the_calls_that_were_under_way(limit: int, asking: list[Call], order: list[int]) -> None:
    spent, under_way, _ = play(terms(limit), asking, order)
    assert spent < limit + max((one.tokens for one in under_way), default=0) or spent < limit


@given(st.integers(1, 500), st.lists(calls, max_size=30), orders)
def test_the_one_call_is_the_one_that_did_not_say_its_size_if_there_is_one(limit: int, asking: list[Call], order: list[int]) -> None:
    spent, under_way, _ = play(terms(limit), asking, order)
    unknown = [one for one in under_way if one.most is None]
    assert len(unknown) <= 1
    assert not unknown or spent < limit + unknown[0].tokens


@given(st.integers(1, 500), st.lists(unknown_calls, max_size=30), orders)
def test_calls_of_which_nothing_is_known_go_one_after_the_other(limit: int, asking: list[Call], order: list[int]) -> None:
    spent, _, most = play(terms(limit), asking, order)
    assert most <= 1
    assert spent == sum(one.tokens for one in asking) or spent >= limit


@given(st.integers(1, 40), st.lists(calls, max_size=40), orders)
def test_turns_are_never_exceeded_and_all_of_them_may_be_used_at_once(limit: int, asking: list[Call], order: list[int]) -> None:
    spent, _, most = play(terms(limit, "turns"), asking, order)
    assert spent == min(limit, len(asking))
    assert most == spent


@given(st.integers(1, 500), st.lists(calls, min_size=1, max_size=30), orders)
def test_whoever_waits_may_begin_once_nobody_is_under_way(limit: int, asking: list[Call], order: list[int]) -> None:
    spent, _, _ = play(terms(limit), asking, [*order, *order])
    assert spent >= min(limit, sum(one.tokens for one in asking))


limits = st.dictionaries(st.sampled_from(["usd", "tokens", "turns"]), st.integers(1, 9), min_size=1)


@given(st.lists(limits, min_size=1, max_size=5))
def test_the_strictest_of_budgets_that_count_the_same_has_the_lowest_of_each_limit(nested: list[dict[str, int]]) -> None:
    chain = [Terms(id="b", scope="key:k", owner=owner, on_limit="ask", limits=one) for owner, one in enumerate(nested)]
    [found] = strictest(chain)
    names = {name for one in nested for name in one}
    assert found.limits == {name: min(one[name] for one in nested if name in one) for name in names}
    assert found.owner == len(nested) - 1
