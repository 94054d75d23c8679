"""A bank: accounts, transfers, and a ledger of what each transfer was told became of it.

A transfer writes a row and moves money between two accounts in one transaction. The row does not
have to be unique, so that a transfer that is done twice shows.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from sqlalchemy import CheckConstraint, Dialect, make_url
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.schema import CreateTable

from tests.databases import Database

OPENING = 1_000


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "account"
    __table_args__ = (CheckConstraint("balance >= 0"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    balance: Mapped[int]


class Transfer(Base):
    __tablename__ = "transfer"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int]
    amount: Mapped[int]


class Bank:
    """The service."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def transfer(self, number: int, source: int, target: int, amount: int) -> None:
        """Read both balances, then write both: only isolation keeps the sum right."""
        giver = await self.session.get_one(Account, source)
        taker = await self.session.get_one(Account, target)
        amount = min(amount, giver.balance)
        giver.balance -= amount
        taker.balance += amount
        self.session.add(Transfer(number=number, amount=amount))
        await self.session.flush()


@dataclass
class Ledger:
    """What the callers were told, and how often their callbacks ran."""

    stored: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)
    unknown: set[int] = field(default_factory=set)
    called_back: Counter[int] = field(default_factory=Counter)
    tries: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)

    def refuse(self, number: int, error: BaseException) -> None:
        """Note that a transfer failed."""
        self.refused.add(number)
        self.errors[f"{type(error).__module__}.{type(error).__name__}"] += 1


def open_accounts(database: Database, accounts: int) -> None:
    """Create the tables from outside, and some accounts."""
    dialect = _dialect(database)
    for table in Base.metadata.sorted_tables:
        database.probe.execute(str(CreateTable(table).compile(dialect=dialect)))
    values = ", ".join(f"({number}, {OPENING})" for number in range(accounts))
    database.probe.execute(f"INSERT INTO account (id, balance) VALUES {values}")


def check(database: Database, ledger: Ledger, accounts: int) -> dict[str, int]:
    """Compare the books with what the callers were told; return what must be zero."""
    rows = database.probe.rows("SELECT number, count(*) FROM transfer GROUP BY number")
    stored = {number for number, _ in rows}
    total = database.probe.scalar("SELECT sum(balance) FROM account")
    known = ledger.stored | ledger.refused
    return {
        "lost": len(ledger.stored - stored),
        "double": sum(times > 1 for _, times in rows),
        "stored though refused": len(ledger.refused & stored),
        "money lost": abs(total - accounts * OPENING),
        "hooks wrong": len(_hooks_wrong(ledger, stored & known)),
        "idle in transaction": database.probe.idle_in_transaction(),
    }


def _hooks_wrong(ledger: Ledger, stored: set[int]) -> set[int]:
    once = {number for number, times in ledger.called_back.items() if times == 1}
    return (stored ^ (set(ledger.called_back) - ledger.unknown)) | (set(ledger.called_back) - once)


def _dialect(database: Database) -> Dialect:
    return make_url(database.url).get_dialect()()
