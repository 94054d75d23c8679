"""What a code base as a whole decides: the kind of its sessions, its base class, its groups."""

from __future__ import annotations

from textwrap import dedent

import pytest

from sqla_safe.checker._facts import extract
from sqla_safe.checker._project import findings, link

MODELS = """
    from sqlalchemy import ForeignKey
    from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

    class Base(DeclarativeBase):
        pass

    class User(Base):
        __tablename__ = "users"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str]
        secret: Mapped[str] = mapped_column(deferred=True, deferred_group="secrets")
        posts: Mapped[list["Post"]] = relationship()

    class Post(Base):
        __tablename__ = "posts"
        id: Mapped[int] = mapped_column(primary_key=True)
        user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
"""
SYNC = """
    from sqlalchemy.orm import scoped_session, sessionmaker

    Session = sessionmaker()
    registry = scoped_session(Session)
"""
ASYNC = """
    from sqlalchemy.ext.asyncio import async_sessionmaker

    Session = async_sessionmaker()
"""


def found(path: str, **files: str) -> list[tuple[int, str, str]]:
    """Return the findings of one file of a code base: line, level, code."""
    modules = [extract(f"{name}.py", dedent(text).encode()) for name, text in files.items()]
    project = link(modules)
    (one,) = [module for module in modules if module.path == f"{path}.py"]
    return [(each.line, each.severity, each.code) for each in findings(project, one)]


HANDLER = """\
from models import User
{imports}
async def handler(db, user_id):
    user = db.get(User, user_id)
    db.commit()
    return user.name, user.posts
"""


def test_a_session_of_a_synchronous_code_base_is_synchronous() -> None:
    """A coroutine that is given `db` loads what is missing: nothing to find."""
    handler = HANDLER.format(imports="")
    assert found("app", app=handler, models=MODELS, database=SYNC) == []


def test_a_session_that_is_awaited_is_asynchronous() -> None:
    """Whatever the sessionmakers of the code base are."""
    handler = HANDLER.format(imports="").replace("db.get", "await db.get")
    expected = [(6, "error", "SQS020"), (6, "error", "SQS020")]
    assert found("app", app=handler, models=MODELS, database=SYNC) == expected


@pytest.mark.parametrize("database", [ASYNC, SYNC + ASYNC])
def test_a_session_of_another_code_base_is_taken_for_asynchronous(database: str) -> None:
    """In a coroutine, where an asynchronous sessionmaker exists."""
    handler = HANDLER.format(imports="")
    assert {code for _, _, code in found("app", app=handler, models=MODELS, database=database)}


def test_a_scoped_session_is_of_the_kind_of_its_maker() -> None:
    """A dependency that yields it gives a synchronous session to a coroutine."""
    app = """
        from fastapi import Depends
        from sqlalchemy.orm import Session
        from database import registry
        from models import User

        def get_db():
            db = registry()
            try:
                yield db
            finally:
                db.close()

        async def handler(user_id, db: Session = Depends(get_db)):
            user = db.query(User).get(user_id)
            db.commit()
            return user.name
    """
    assert found("app", app=app, models=MODELS, database=SYNC, other=ASYNC) == []


def test_the_class_given_to_declarative_base_has_columns() -> None:
    """`declarative_base(cls=PreBase)`: what `PreBase` maps, each model has."""
    app = """
        from sqlalchemy import Column, Integer
        from sqlalchemy.ext.asyncio import AsyncSession
        from sqlalchemy.orm import declarative_base

        class PreBase:
            id = Column(Integer, primary_key=True)

        Base = declarative_base(cls=PreBase)

        class User(Base):
            __tablename__ = "users"

        async def handler(session: AsyncSession, user_id):
            user = await session.get(User, user_id)
            await session.rollback()
            return user.id
    """
    assert found("app", app=app) == [(17, "error", "SQS021")]


GROUP = """
    from sqlalchemy import select
    from sqlalchemy.orm import undefer_group
    from models import User

    async def secret(user: User):
        return user.secret

    statement = select(User).options({option})
"""


def test_a_deferred_column_that_its_group_loads_is_loaded_somewhere() -> None:
    """`undefer_group` names no column."""
    app = GROUP.format(option='undefer_group("secrets")')
    assert found("app", app=app, models=MODELS, database=ASYNC) == []


def test_a_deferred_column_of_another_group_is_loaded_nowhere() -> None:
    """A group loads its own columns only."""
    app = GROUP.format(option='undefer_group("others")')
    assert found("app", app=app, models=MODELS, database=ASYNC) == [(7, "warning", "SQS010")]
