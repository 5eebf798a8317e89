"""When to try again, and how long to wait before it. Pure, but for the jitter."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, cast

from tenacity import RetryCallState
from tenacity.wait import wait_exponential

from agentflow.clock import SECOND, Duration, microseconds
from agentflow.errors import BudgetExceeded, DefinitionError, NonRetryable, RetryAfter, UnserializableValue

Predicate = Callable[[BaseException], bool]
RetryOn = type[BaseException] | tuple[type[BaseException], ...] | Predicate


@dataclass(frozen=True, slots=True)
class Retry:
    """How often to try, and how long to wait between tries.

    `attempts` counts all tries, the first one too. The wait before try n+1 is `initial * factor ** (n - 1)`, at most `max`, then spread
    by `jitter` (0.2 = up to 20 % more or less). `on` limits retries to exception types or to those a predicate accepts. An error that
    carries a `retry-after` (`RetryAfter`, or an HTTP response header) is never retried sooner than it asks.

        @step(retry=Retry(attempts=5, initial="1s", factor=2, max="1m", on=httpx.TransportError))
    """

    attempts: int = 1
    initial: Duration = "1s"
    factor: float = 2.0
    max: Duration = "1m"
    jitter: float = 0.2
    on: RetryOn = Exception

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise DefinitionError(f"Retry(attempts={self.attempts}): there is always a first try.", hint="Give 1 or more.")
        if not 0 <= self.jitter <= 1:
            raise DefinitionError(f"Retry(jitter={self.jitter}): give a share between 0 and 1.")
        microseconds(self.initial)
        microseconds(self.max)

    def wants(self, error: BaseException) -> bool:
        """Whether `error` is of a kind that another try could cure."""
        if isinstance(error, (NonRetryable, UnserializableValue, DefinitionError, BudgetExceeded)) or not isinstance(error, Exception):
            return False
        if isinstance(error, RetryAfter):
            return True
        on = self.on
        if isinstance(on, (type, tuple)):
            return isinstance(error, on)
        return on(error)

    def delay(self, tries: int, error: BaseException, now: int) -> int | None:
        """Microseconds to wait after `tries` failed tries, or None to give up; `now` is the time, in microseconds since 1970."""
        if tries >= self.attempts or not self.wants(error):
            return None
        wait = round(self._backoff(tries) * random.uniform(1 - self.jitter, 1 + self.jitter))  # noqa: S311
        return max(wait, retry_after(error, now) or 0)

    def _backoff(self, tries: int) -> float:
        state = RetryCallState(cast("Any", None), None, (), {})
        state.attempt_number = tries
        grow = wait_exponential(multiplier=microseconds(self.initial), exp_base=self.factor, max=microseconds(self.max))
        return grow(state)


NO_RETRY = Retry()


def retry_after(error: BaseException, now: int) -> int | None:
    """What `error` asks for, in microseconds: `RetryAfter`, or the `retry-after(-ms)` header of the HTTP response that it carries.

    Source of the header's two forms: RFC 9110, section 10.2.3. SDK errors of anthropic, openai and httpx carry `.response.headers`; those
    that arrive inside a stream, and Google's, carry `.retry_after` in seconds.
    """
    if isinstance(error, RetryAfter):
        return microseconds(error.delay)
    for one in (error, error.__cause__):
        headers = getattr(getattr(one, "response", one), "headers", None)
        if headers is not None and (found := _from_headers(headers, now)) is not None:
            return found
        seconds = getattr(one, "retry_after", None)
        if isinstance(seconds, (int, float)):
            return round(seconds * SECOND)
    return None


def _from_headers(headers: Mapping[str, str], now: int) -> int | None:
    millis, text = headers.get("retry-after-ms"), headers.get("retry-after")
    try:
        if millis is not None:
            return round(float(millis) * 1_000)
        if text is None:
            return None
        if text.replace(".", "", 1).isdigit():
            return round(float(text) * SECOND)
        return max(0, round(parsedate_to_datetime(text).timestamp() * SECOND) - now)
    except (ValueError, OverflowError):
        return None
