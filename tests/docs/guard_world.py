"""The customers and orders that the examples of the guard misuse."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Engine, ForeignKey, func
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customers"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    changed_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    orders: Mapped[list[Order]] = relationship(lazy="select")


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey(Customer.id))


def rows() -> list[Customer]:
    """Return three customers with an order each."""
    return [Customer(id=n, name=f"customer {n}", orders=[Order(id=n)]) for n in (1, 2, 3)]


async def fill_async(engine: AsyncEngine) -> None:
    """Create the tables and store the customers."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine) as session, session.begin():
        session.add_all(rows())


def fill_sync(engine: Engine) -> None:
    """Create the tables and store the customers."""
    Base.metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        session.add_all(rows())
