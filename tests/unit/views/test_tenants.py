"""Tenants stay apart: what a session or a statement hides, no view shows, at any level.

Each test says what is there without the filter too, so that it fails when the filter is passed by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from sqlalchemy import Engine, ForeignKey, event, func, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    ORMExecuteState,
    Session,
    mapped_column,
    relationship,
    sessionmaker,
    with_loader_criteria,
)
from sqlalchemy.pool import StaticPool

from sqla_safe import (
    Expr,
    Path,
    afetch,
    astream_views,
    fetch,
    fetch_one_or_none,
    scoped_services,
    stream_views,
)
from tests.engines import in_memory


class Base(DeclarativeBase):
    pass


class Owned:
    tenant: Mapped[int] = mapped_column(default=1)


class Shop(Owned, Base):
    __tablename__ = "shops"
    id: Mapped[int] = mapped_column(primary_key=True)
    orders: Mapped[list[Order]] = relationship(back_populates="shop", order_by="Order.id")


class Order(Owned, Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    shop_id: Mapped[int] = mapped_column(ForeignKey(Shop.id))
    shop: Mapped[Shop] = relationship(back_populates="orders")
    lines: Mapped[list[Line]] = relationship(order_by="Line.id")


class Line(Owned, Base):
    __tablename__ = "lines"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey(Order.id))
    good_id: Mapped[int] = mapped_column(ForeignKey("goods.id"))
    good: Mapped[Good] = relationship()


class Good(Owned, Base):
    __tablename__ = "goods"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[str]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "good"}  # noqa: RUF012


class Book(Good):
    __mapper_args__ = {"polymorphic_identity": "book"}  # noqa: RUF012


@dataclass(frozen=True)
class GoodCard:
    id: int


@dataclass(frozen=True)
class LineCard:
    id: int
    good: GoodCard | None
    name: Annotated[str | None, Path(Line.good, Good.name)]


@dataclass(frozen=True)
class OrderCard:
    id: int
    lines: tuple[LineCard, ...]


def number_of_orders(cls: Any) -> Any:
    """Count in a subquery."""
    return (
        select(func.count(Order.id)).where(Order.shop_id == cls.id).correlate(cls).scalar_subquery()
    )


@dataclass(frozen=True)
class ShopCard:
    id: int
    orders: tuple[OrderCard, ...]
    count: Annotated[int, Expr(number_of_orders)]


ALL = select(Shop).order_by(Shop.id)
EVERYTHING = {"shops": {1, 2}, "orders": {1, 2, 3}, "lines": {1, 2, 3, 4}, "goods": {1, 2}}
OF_ONE = {"shops": {1}, "orders": {1}, "lines": {1}, "goods": {1}}
OF_TWO = {"shops": {2}, "orders": {3}, "lines": {4}, "goods": {2}}


def shown(found: list[ShopCard]) -> dict[str, set[int]]:
    """Return the numbers of all that a result shows."""
    orders = [order for shop in found for order in shop.orders]
    lines = [line for order in orders for line in order.lines]
    goods = {line.good.id for line in lines if line.good}
    assert [line.name is None for line in lines] == [line.good is None for line in lines]
    assert [shop.count for shop in found] == [len(shop.orders) for shop in found]
    return {
        "shops": {one.id for one in found},
        "orders": {one.id for one in orders},
        "lines": {one.id for one in lines},
        "goods": goods,
    }


def store(session: Session) -> None:
    """Store a shop of each tenant; among what the first has are things of the second."""
    one, two = Good(id=1, name="tea"), Book(id=2, name="Utopia", tenant=2)
    session.add_all([one, two])
    session.flush()
    mine = [Line(id=1, good_id=1), Line(id=2, good_id=2, tenant=2)]
    orders = [Order(id=1, lines=mine), Order(id=2, tenant=2, lines=[Line(id=3, good_id=1)])]
    session.add(Shop(id=1, orders=orders))
    theirs = Order(id=3, tenant=2, lines=[Line(id=4, good_id=2, tenant=2)])
    session.add(Shop(id=2, tenant=2, orders=[theirs]))
    session.commit()


@pytest.fixture
def engine() -> Iterator[Engine]:
    """Give a filled database."""
    with in_memory(Base) as engine:
        with Session(engine) as session:
            store(session)
        yield engine


def hide(target: Any, tenant: int) -> Callable[[ORMExecuteState], None]:
    """Filter every SELECT of a session, sessionmaker or class, as SQLAlchemy's manual does."""

    def add(state: ORMExecuteState) -> None:
        if state.is_select and not state.is_column_load and not state.is_relationship_load:
            state.statement = state.statement.options(of_tenant(tenant))

    event.listen(target, "do_orm_execute", add)
    return add


def of_tenant(tenant: int) -> Any:
    """Return the criteria that leave what is a tenant's."""
    return with_loader_criteria(Owned, lambda cls: cls.tenant == tenant, include_aliases=True)


def test_without_a_filter_all_is_shown(engine: Engine) -> None:
    """The rows are there to be hidden."""
    with Session(engine) as session:
        assert shown(fetch(session, ShopCard, ALL)) == EVERYTHING


def test_tenants_share_a_plan_and_no_rows(engine: Engine) -> None:
    """The same view, statement and lambda serve one tenant, the other, nobody's filter, and one."""
    for tenant, expected in ((1, OF_ONE), (2, OF_TWO), (None, EVERYTHING), (1, OF_ONE)):
        maker = sessionmaker(engine)
        if tenant:
            hide(maker, tenant)
        with maker() as session:
            assert shown(fetch(session, ShopCard, ALL)) == expected


def test_options_of_tenants_share_a_plan_and_no_rows(engine: Engine) -> None:
    """The same for criteria of the statement, one session for both."""
    with Session(engine) as session:
        for tenant, expected in ((1, OF_ONE), (2, OF_TWO), (1, OF_ONE)):
            statement = ALL.options(of_tenant(tenant))
            assert shown(fetch(session, ShopCard, statement)) == expected
        assert shown(fetch(session, ShopCard, ALL)) == EVERYTHING


def test_a_filter_that_comes_late_holds(engine: Engine) -> None:
    """A listener on a session that has fetched already, and its removal, are noticed."""
    with Session(engine) as session:
        assert shown(fetch(session, ShopCard, ALL)) == EVERYTHING
        listener = hide(session, 1)
        assert shown(fetch(session, ShopCard, ALL)) == OF_ONE
        event.remove(session, "do_orm_execute", listener)
        assert shown(fetch(session, ShopCard, ALL)) == EVERYTHING


@contextmanager
def hidden_everywhere(tenant: int) -> Iterator[None]:
    """Filter all sessions of the program."""
    listener = hide(Session, tenant)
    try:
        yield
    finally:
        event.remove(Session, "do_orm_execute", listener)


def test_a_filter_of_all_sessions_holds(engine: Engine) -> None:
    """A listener on the class Session is everybody's."""
    with Session(engine) as session, hidden_everywhere(1):
        assert shown(fetch(session, ShopCard, ALL)) == OF_ONE


def test_a_subclass_of_session_may_filter(engine: Engine) -> None:
    """Applications that override execute() are asked too."""

    class Filtered(Session):
        def execute(self, statement: Any, *args: Any, **options: Any) -> Any:  # type: ignore[override]
            return super().execute(statement.options(of_tenant(1)), *args, **options)

    with Filtered(engine) as session:
        assert shown(fetch(session, ShopCard, ALL)) == OF_ONE


def test_one_row_of_another_tenant_is_no_row(engine: Engine) -> None:
    """Asking for it by its key does not find it."""
    maker = sessionmaker(engine)
    with maker() as session:
        assert fetch_one_or_none(session, ShopCard, ALL.where(Shop.id == 2)) is not None
    hide(maker, 1)
    with maker() as session:
        assert fetch_one_or_none(session, ShopCard, ALL.where(Shop.id == 2)) is None


def test_a_stream_is_filtered(engine: Engine) -> None:
    """Every batch, with all its levels."""
    with Session(engine) as session:
        hide(session, 2)
        batches = list(stream_views(session, ShopCard, ALL, batch_size=1))
        assert shown([one for batch in batches for one in batch]) == OF_TWO


def test_a_scope_is_filtered(engine: Engine) -> None:
    """The filter of its sessionmaker is the scope's."""
    maker = sessionmaker(engine)
    hide(maker, 1)
    with scoped_services(maker) as scope:
        assert shown(fetch(scope, ShopCard, ALL)) == OF_ONE


async def test_async_sessions_are_filtered() -> None:
    """By listeners on the session within, in lists and in streams."""
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine) as session:
        await session.run_sync(store)
        assert shown(await afetch(session, ShopCard, ALL)) == EVERYTHING
        hide(session.sync_session, 1)
        assert shown(await afetch(session, ShopCard, ALL)) == OF_ONE
        batches = [batch async for batch in astream_views(session, ShopCard, ALL)]
        assert shown([one for batch in batches for one in batch]) == OF_ONE
    await engine.dispose()


def test_a_subclass_in_one_table_is_filtered_as_both(engine: Engine) -> None:
    """The criteria of its discriminator and those of the tenant hold together."""
    with Session(engine) as session:
        books = select(Book)
        assert fetch(session, GoodCard, select(Good).order_by(Good.id)) == [
            GoodCard(1),
            GoodCard(2),
        ]
        assert fetch(session, GoodCard, books) == [GoodCard(2)]
        assert fetch(session, GoodCard, books.options(of_tenant(1))) == []
        hide(session, 1)
        assert fetch(session, GoodCard, books) == []
