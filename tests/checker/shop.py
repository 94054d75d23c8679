"""A small application with bugs of known places, and what runs it."""

from __future__ import annotations

MODELS = """\
from sqlalchemy import ForeignKey
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    orders: Mapped[list["Order"]] = relationship()


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))


engine = create_async_engine("sqlite+aiosqlite://")
Session = async_sessionmaker(engine)
"""

HANDLERS = """\
from sqlalchemy import select

from app.models import Session, User


async def show(user_id):
    async with Session() as session:
        user = (await session.scalars(select(User).where(User.id == user_id))).one()
        return len(user.orders)
"""

LINE, COLUMN = 9, 20
"""Where HANDLERS reads what is not loaded: SQS010, an error, which can be fixed."""

INFO = """\
from app.models import Session, User


async def names():
    async with Session() as session:
        user = await session.get(User, 1)
    return user.name
"""

FILES = {"app/models.py": MODELS, "app/handlers.py": HANDLERS}
