"""A ledger: the smallest thing with balances to lose, for the database contract."""

from __future__ import annotations

from pathlib import Path

from agentflow.database import Database, Statements, Transaction, transaction

FOLDER = Path(__file__).parent
MIGRATIONS = FOLDER / "migrations"

_statement = Statements(FOLDER)
put = _statement("ledger/put")
get = _statement("ledger/get")
add = _statement("ledger/add")
put_debt = _statement("ledger/owe")
everything = _statement("ledger/all")
whole = _statement("ledger/whole")
fail_as_serialization = _statement("ledger/conflict")


@transaction
def put_all(*names: str) -> Transaction[int]:
    """Put a row for each name; returns how many."""
    for name in names:
        yield put(name=name, value=1)
    return len(names)


@transaction
def put_then_raise(name: str, error: BaseException) -> Transaction[None]:
    """Put a row, then change one's mind."""
    yield put(name=name, value=1)
    raise error


@transaction
def move(source: str, target: str, amount: int) -> Transaction[int]:
    """Move an amount; refuses to overdraw, after the first write."""
    left = (yield add(name=source, amount=-amount))[0]["value"]
    if left < 0:
        raise ValueError("overdrawn")
    return (yield add(name=target, amount=amount))[0]["value"]


@transaction
def owe(debtor: str, creditor: str) -> Transaction[None]:
    """A debt between two rows; the database looks for the rows when it commits."""
    yield put_debt(debtor=debtor, creditor=creditor)


async def names(database: Database) -> set[str]:
    """The names of all rows but the migration's own."""
    return {row["name"] for row in await database.fetch(everything())} - {"opening; balance"}


async def value(database: Database, name: str) -> int:
    """What a row holds."""
    return (await database.fetch(get(name=name)))[0]["value"]
