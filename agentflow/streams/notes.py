"""Small things kept with a run's stream for a while, each for one who comes for it: only the first of all processes gets it."""

from __future__ import annotations

from agentflow.streams.link import Link


async def put_note(link: Link, run_id: str, name: str, value: bytes, life: int) -> None:
    """Keep a value for `life` microseconds. Raises `StreamUnavailable`."""
    await link.ask(link.place(run_id), "SET", _key(run_id, name), value, "PX", max(life // 1_000, 1))


async def take_note(link: Link, run_id: str, name: str) -> bytes | None:
    """The value, which is gone then; None when it was taken, has expired or never was. Raises `StreamUnavailable`."""
    return await link.ask(link.place(run_id), "GETDEL", _key(run_id, name))


def _key(run_id: str, name: str) -> str:
    # In the slot of the run's stream, wherever that is.
    return f"af:{{{run_id}}}:note:{name}"
