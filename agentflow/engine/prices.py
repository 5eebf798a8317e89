"""What model calls cost, by genai-prices: most of a second to load, so it is loaded with the first call, while the model thinks."""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import replace
from decimal import Decimal
from functools import cache

from agentflow.storage.terms import NANO
from agentflow.storage.usage import CallUsage
from agentflow.streams.events import Usage


@cache
def warm() -> None:
    """Load the prices in a thread, once in this process."""
    threading.Thread(target=_load, name="agentflow-prices", daemon=True).start()


def _load() -> None:
    _price(Usage(model="gpt-4o", provider="openai", input=0, output=0))


def priced(event: Usage) -> Usage:
    """With its cost, where nobody has told it and the model's price is known."""
    if event.cost is not None or event.model is None or (event.input is None and event.output is None):
        return event
    found = _price(event)
    return event if found is None else replace(event, cost=float(found))


def call_usage(event: Usage) -> CallUsage:
    """As it is recorded: the cost in whole nano-USD."""
    return CallUsage(
        provider=event.provider,
        model=event.model,
        input=event.input,
        output=event.output,
        cached=event.cached,
        reasoning=event.reasoning,
        cost=None if event.cost is None else round(Decimal(str(event.cost)) * NANO),
    )


ADDED = 2_000
"""Tokens that providers add of their own to a request with tools, with much to spare."""


def at_most(request: bytes, output: int, model: str | None, provider: str | None, limits: Collection[str]) -> dict[str, int | None]:
    """What a call uses at most whose `request` is all text, and which may say so many tokens: no token is less than a byte."""
    tokens = len(request) + ADDED
    found: dict[str, int | None] = {"tokens": tokens + output}
    if "usd" in limits and model is not None:
        dearest = (_price(Usage(model=model, provider=provider, input=tokens, output=output), written=one) for one in (0, tokens))
        prices = [one for one in dearest if one is not None]
        found["usd"] = int(max(prices) * NANO) + 1 if prices else None
    return found


def _price(event: Usage, written: int = 0) -> Decimal | None:
    from genai_prices import Usage as Tokens
    from genai_prices import calc_price

    tokens = Tokens(
        input_tokens=event.input, output_tokens=event.output, cache_read_tokens=event.cached, cache_write_tokens=written or None
    )
    try:
        return calc_price(tokens, event.model or "", provider_id=event.provider).total_price
    except (LookupError, ValueError):
        return None
