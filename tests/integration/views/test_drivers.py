"""Views on each database and driver: the same values as entities, and as few statements."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine, desc, event, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session, aliased, with_loader_criteria

from sqla_safe import ViewStreamError, afetch, afetch_one, astream_views, fetch, stream_views
from tests.integration.views.models import Account, Base, Item, Level, Part, empty, full


@dataclass(frozen=True, slots=True)
class UseCard:
    id: int


@dataclass(frozen=True, slots=True)
class PartCard:
    number: int
    uses: tuple[UseCard, ...]


@dataclass(frozen=True, slots=True)
class Owner:
    id: int
    name: str | None


@dataclass(frozen=True, slots=True)
class ItemCard:
    id: uuid.UUID
    account: Owner
    parts: tuple[PartCard, ...]


@dataclass(frozen=True, slots=True)
class AccountCard:
    id: int
    name: str | None
    money: Decimal | None
    score: Decimal | None
    ratio: float | None
    level: Level | None
    active: bool | None
    data: Any
    raw: bytes | None
    day: dt.date | None
    hour: dt.time | None
    moment: dt.datetime | None
    span: dt.timedelta | None
    token: uuid.UUID | None
    items: tuple[ItemCard, ...]


@dataclass(frozen=True, slots=True)
class Small:
    id: int
    place: int


@dataclass(frozen=True, slots=True)
class Wide:
    id: int
    items: tuple[WideItem, ...]


@dataclass(frozen=True, slots=True)
class WideItem:
    place: int
    parts: tuple[WidePart, ...]


@dataclass(frozen=True, slots=True)
class WidePart:
    number: int


ACCOUNTS = select(Account).order_by(Account.id)
COLUMNS = [field.name for field in fields(AccountCard) if field.name != "items"]


def store(session: Session) -> None:
    """Store two accounts with everything, and one with nothing."""
    session.add_all([full(1), empty(2), full(3)])
    session.commit()


def check(session: Session, found: list[AccountCard]) -> None:
    """Compare with the entities."""
    entities = session.scalars(ACCOUNTS).all()
    assert [card.id for card in found] == [entity.id for entity in entities] == [1, 2, 3]
    for card, entity in zip(found, entities, strict=True):
        for name in COLUMNS:
            assert getattr(card, name) == getattr(entity, name), name
            assert type(getattr(card, name)) is type(getattr(entity, name)), name
        assert card.items == tuple(item_card(item) for item in entity.items)


def item_card(item: Item) -> ItemCard:
    """Return what is shown of an item."""
    parts = tuple(
        PartCard(part.number, tuple(UseCard(use.id) for use in part.uses)) for part in item.parts
    )
    return ItemCard(item.id, Owner(item.account.id, item.account.name), parts)


@pytest.fixture
def session(sync_engine: Engine) -> Iterator[Session]:
    """Give a session on a filled database, once per sync driver."""
    Base.metadata.create_all(sync_engine)
    with Session(sync_engine) as writer:
        store(writer)
    with Session(sync_engine) as session:
        yield session


@pytest.fixture
async def asession(async_engine: AsyncEngine) -> Any:
    """Give a session on a filled database, once per async driver."""
    async with async_engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(async_engine) as writer:
        await writer.run_sync(store)
    async with AsyncSession(async_engine) as session:
        yield session


def test_the_values_are_those_of_entities(session: Session) -> None:
    """Every type, NULLs, and keys that are no numbers or two columns."""
    check(session, fetch(session, AccountCard, ACCOUNTS))
    check(
        session, [card for batch in stream_views(session, AccountCard, ACCOUNTS) for card in batch]
    )


async def test_the_values_are_those_of_entities_async(asession: AsyncSession) -> None:
    """The same with an AsyncSession; batches too, and after criteria sent it another way."""
    await asession.run_sync(check, await afetch(asession, AccountCard, ACCOUNTS))
    streamed = astream_views(asession, AccountCard, ACCOUNTS, batch_size=2)
    batches = [batch async for batch in streamed]
    assert [len(batch) for batch in batches] == [2, 1]
    await asession.run_sync(check, [card for batch in batches for card in batch])
    await asession.run_sync(filtered)
    one = await afetch_one(asession, AccountCard, ACCOUNTS.where(Account.id == 3))
    assert one == batches[1][0]


def filtered(session: Session) -> None:
    """A listener makes every statement go through the ORM's own execution."""
    event.listen(session, "do_orm_execute", lambda _: None)
    check(session, fetch(session, AccountCard, ACCOUNTS))
    hidden = with_loader_criteria(Item, Item.place != 1)
    [first, *_] = fetch(session, AccountCard, ACCOUNTS.options(hidden))
    assert len(first.items) == 2


def test_the_end_of_its_transaction_ends_a_stream(session: Session) -> None:
    """Wherever the driver has the other rows by then; the connection can be used again."""
    for listens in (False, True):
        if listens:
            event.listen(session, "do_orm_execute", lambda _: None)
        batches = stream_views(session, AccountCard, ACCOUNTS, batch_size=1)
        assert next(batches)[0].id == 1
        session.commit()
        with pytest.raises(ViewStreamError):
            next(batches)
    check(session, fetch(session, AccountCard, ACCOUNTS))


def test_the_rows_of_a_stream_stay_on_the_server(pg_sync_engine: Engine) -> None:
    """PostgreSQL has cursors for that; without one psycopg would bring all rows along at once."""
    Base.metadata.create_all(pg_sync_engine)
    cursors = text("SELECT count(*) FROM pg_cursors WHERE name <> ''")
    with Session(pg_sync_engine) as session:
        store(session)
        batches = stream_views(session, AccountCard, ACCOUNTS, batch_size=1)
        next(batches)
        open_now = session.scalar(cursors)
        batches.close()  # type: ignore[attr-defined]
        assert (open_now, session.scalar(cursors)) == (1, 0)


async def test_the_rows_of_an_async_stream_stay_on_the_server(pg_engine: AsyncEngine) -> None:
    """The same for asyncpg and psycopg."""
    async with pg_engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    cursors = text("SELECT count(*) FROM pg_cursors WHERE name <> ''")
    async with AsyncSession(pg_engine) as session:
        await session.run_sync(store)
        batches = astream_views(session, AccountCard, ACCOUNTS, batch_size=1)
        async for _ in batches:
            assert await session.scalar(cursors) == 1
            break
        await batches.aclose()  # type: ignore[attr-defined]


async def test_the_end_of_its_transaction_ends_an_async_stream(asession: AsyncSession) -> None:
    """The same with an AsyncSession."""
    with pytest.raises(ViewStreamError):
        async for _ in astream_views(asession, AccountCard, ACCOUNTS, batch_size=1):
            await asession.commit()
    await asession.run_sync(check, await afetch(asession, AccountCard, ACCOUNTS))


@pytest.mark.parametrize("wanted", [1, 3])
def test_a_repeated_statement_has_its_own_values(session: Session, wanted: int) -> None:
    """Numbers, lists of any length, limits and NULLs of this very statement, not of an earlier."""
    for number in (2, 1, 3, 2, wanted):
        for numbers in ([number], [number, 4, 5], []):
            statement = ACCOUNTS.where(Account.id.in_(numbers)).limit(len(numbers) or 1)
            found = [card.id for card in fetch(session, AccountCard, statement)]
            assert found == [one for one in numbers if one <= 3]


def test_listeners_change_nothing_else(session: Session) -> None:
    """Rows that went through the ORM make the same objects."""
    filtered(session)


ITEMS = select(Item).distinct()
SORTED = {
    "a column": ITEMS.join(Item.parts).order_by(Item.place.desc(), Item.id),
    "its name": ITEMS.order_by(desc("place"), Item.id).limit(3),
    "an expression": ITEMS.order_by(Item.place, Item.id).where(func.abs(Item.place) >= 0),
}
OTHER = aliased(Item)


@pytest.mark.parametrize("name", SORTED)
def test_a_distinct_is_sorted_by_what_the_view_leaves_out(session: Session, name: str) -> None:
    """PostgreSQL wants it to be selected, as it is for entities."""
    expected = [one.id for one in session.scalars(SORTED[name])]
    for _ in range(3):
        found = fetch(session, OfAccount, SORTED[name])
        assert [one.id for one in found] == expected != []
    batches = list(stream_views(session, OfAccount, SORTED[name], batch_size=2))
    assert [one for batch in batches for one in batch] == found
    others = select(OTHER).distinct().order_by(OTHER.place, OTHER.id)
    assert [one.id for one in fetch(session, OfAccount, others)] == [
        one.id for one in session.scalars(others)
    ]


@dataclass(frozen=True, slots=True)
class OfAccount:
    id: uuid.UUID
    account: Owner


@pytest.mark.parametrize("name", ["grouped", "locking"])
def test_nothing_is_joined_to_what_allows_no_join(session: Session, name: str) -> None:
    """PostgreSQL would want it in the GROUP BY, and cannot lock the side that may be empty."""
    grouped = select(Item).join(Item.parts).group_by(Item.id)
    statement = {"grouped": grouped, "locking": select(Item).with_for_update()}[name]
    found = fetch(session, OfAccount, statement.order_by(Item.id))
    entities = session.scalars(select(Item).order_by(Item.id)).all()
    expected = [OfAccount(one.id, Owner(one.account.id, one.account.name)) for one in entities]
    assert found == expected != []


@pytest.mark.parametrize("size", [1, 10_000])
def test_statements_do_not_grow_with_rows(sync_engine: Engine, size: int) -> None:
    """One for the root and one for each level of collections, for one row and for ten thousand."""
    Base.metadata.create_all(sync_engine)
    with sync_engine.begin() as connection:
        connection.execute(insert(Account), [{"id": number} for number in range(1, size + 1)])
        items = [
            {"id": uuid.UUID(int=number), "account_id": number % size + 1, "place": number}
            for number in range(size * 2)
        ]
        connection.execute(insert(Item), items)
        connection.execute(insert(Part), [{"item_id": one["id"], "number": 1} for one in items])
    sent: list[str] = []
    event.listen(sync_engine, "before_cursor_execute", lambda *args: sent.append(args[2]))
    with Session(sync_engine) as session:
        found = fetch(session, Wide, ACCOUNTS)
    assert len(found) == size
    assert sum(len(item.parts) for one in found for item in one.items) == size * 2
    assert len(sent) == 3
