"""Transactions that can be begun again, and the texts that they run."""

from __future__ import annotations

from agentflow.database import Query, Transaction, transaction
from agentflow.database.port import Restartable
from agentflow.database.statements import make_statement, numbered

ask = make_statement("ask", {"sqlite": "SELECT :question"})


@transaction
def asked(question: str, *, times: int = 1) -> Transaction[int]:
    """Ask; returns how many rows came back."""
    rows = 0
    for _ in range(times):
        rows += len((yield ask(question=question)))
    return rows


def outer() -> Transaction[int]:
    return 1 + (yield from asked("inner"))


def answered(work: Transaction[int]) -> tuple[list[str], int]:
    """The questions of a transaction, and its value; it gets one row for each."""
    running = iter(work)
    questions: list[str] = []
    try:
        query: Query = next(running)
        while True:
            questions.append(query.parameters["question"])
            query = running.send([{}])
    except StopIteration as end:
        return questions, end.value


def test_a_transaction_may_be_begun_again_after_any_step() -> None:
    work = asked("why", times=2)
    begun = iter(work)
    next(begun)
    begun.close()
    assert answered(work) == answered(work) == (["why", "why"], 2)


def test_a_transaction_inside_another_is_as_any_generator() -> None:
    assert answered(outer()) == (["inner"], 2)


def test_a_transaction_that_is_driven_as_a_generator_begins_once() -> None:
    work = asked("why")
    assert next(work).parameters == {"question": "why"}
    work.close()
    assert next(work, None) is None
    asked("never").close()


def test_what_is_made_says_what_made_it() -> None:
    assert asked.__name__ == "asked"
    assert isinstance(asked("why"), Restartable)


def test_parameters_are_numbered_but_not_what_looks_like_them() -> None:
    text = "SELECT :b::text, ':no', a[1:2] FROM t -- :no\nWHERE x = :a AND y = :b /* :no */"
    expected = "SELECT $1::text, ':no', a[1:2] FROM t -- :no\nWHERE x = $2 AND y = $1 /* :no */"
    assert numbered(text) == (expected, ("b", "a"))
