"""When to try again."""

from __future__ import annotations

from datetime import timedelta
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow import NonRetryable, Retry, RetryAfter
from agentflow.adapters import ModelRefused
from agentflow.clock import SECOND
from agentflow.errors import DefinitionError, UnserializableValue
from agentflow.retry import NO_RETRY, retry_after

NOW = 1_800_000_000 * SECOND


class _Response:
    def __init__(self, **headers: str) -> None:
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class HttpError(Exception):
    def __init__(self, **headers: str) -> None:
        super().__init__("503")
        self.response = _Response(**headers)


def delays(retry: Retry) -> list[int | None]:
    return [retry.delay(tries, ValueError(), NOW) for tries in range(1, retry.attempts + 1)]


def test_delays_grow_by_the_factor_up_to_the_longest_and_end_with_the_last_try() -> None:
    assert delays(Retry(attempts=5, initial="1s", factor=3, max="10s", jitter=0)) == [SECOND, 3 * SECOND, 9 * SECOND, 10 * SECOND, None]


def test_without_a_policy_there_is_one_try() -> None:
    assert delays(NO_RETRY) == [None]


@given(jitter=st.floats(0, 1), tries=st.integers(1, 20))
def test_jitter_spreads_a_delay_by_no_more_than_its_share(jitter: float, tries: int) -> None:
    exact = Retry(attempts=99, initial="1s", max="1m", jitter=0).delay(tries, ValueError(), NOW)
    spread = Retry(attempts=99, initial="1s", max="1m", jitter=jitter).delay(tries, ValueError(), NOW)
    assert exact is not None
    assert spread is not None
    assert exact * (1 - jitter) - 1 <= spread <= exact * (1 + jitter) + 1


@pytest.mark.parametrize("error", [NonRetryable("no"), UnserializableValue("no"), DefinitionError("no"), KeyboardInterrupt()])
def test_some_errors_no_further_try_can_cure(error: BaseException) -> None:
    assert Retry(attempts=9).delay(1, error, NOW) is None


def test_only_the_named_types_are_tried_again() -> None:
    retry = Retry(attempts=9, on=(OSError, KeyError))
    assert retry.wants(ConnectionError())
    assert retry.wants(KeyError())
    assert not retry.wants(ValueError())


def test_a_predicate_decides_by_the_exception_itself() -> None:
    retry = Retry(attempts=9, on=lambda error: "503" in str(error))
    assert retry.wants(HttpError())
    assert not retry.wants(ValueError("404"))


def test_asking_for_time_is_asking_for_another_try_whatever_the_types() -> None:
    assert Retry(attempts=2, on=OSError).delay(1, RetryAfter("7s"), NOW) is not None


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RetryAfter("7s"), 7),
        (RetryAfter(7), 7),
        (RetryAfter(timedelta(minutes=1)), 60),
        (HttpError(retry_after="7"), 7),
        (HttpError(retry_after="0.5"), 0.5),
        (ModelRefused.of(429, {"retry-after": "7"}, None), 7),
        (HttpError(retry_after_ms="1500"), 1.5),
        (HttpError(retry_after_ms="1500", retry_after="7"), 1.5),
        (HttpError(retry_after=formatdate(NOW / SECOND + 90, usegmt=True)), 90),
        (HttpError(retry_after=formatdate(NOW / SECOND - 90, usegmt=True)), 0),
        (HttpError(retry_after="soon"), None),
        (HttpError(), None),
        (ValueError(), None),
    ],
)
def test_what_an_error_asks_for_is_understood_in_all_its_forms(error: Exception, expected: float | None) -> None:
    assert retry_after(error, NOW) == (None if expected is None else round(expected * SECOND))


def test_a_wrapped_error_asks_through_its_cause() -> None:
    error = ValueError("wrapped")
    error.__cause__ = HttpError(retry_after="7")
    assert retry_after(error, NOW) == 7 * SECOND


def test_the_backoff_counts_when_it_is_longer_than_what_the_error_asks() -> None:
    assert Retry(attempts=2, initial="1m", jitter=0).delay(1, RetryAfter("7s"), NOW) == 60 * SECOND


def test_an_error_may_ask_for_more_than_the_longest_delay() -> None:
    assert Retry(attempts=2, initial="1s", max="2s", jitter=0).delay(1, RetryAfter("1h"), NOW) == 3_600 * SECOND


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"jitter": 2}, {"initial": "soon"}, {"max": -1}])
def test_a_policy_that_cannot_work_is_refused_when_it_is_made(wrong: dict[str, int]) -> None:
    with pytest.raises(DefinitionError):
        Retry(**wrong)  # pyright: ignore[reportArgumentType] - that is the point


def test_an_error_that_asks_for_time_says_so_and_keeps_its_words() -> None:
    assert (str(RetryAfter("7s")), str(RetryAfter(7, "busy"))) == ("retry after 7s", "busy")
