"""What a code base as a whole decides: the kind of its sessions, its base class, its groups."""

from __future__ import annotations

from textwrap import dedent

import pytest

from sqla_safe.checker._facts import extract
from sqla_safe.checker._project import findings, link
from sqla_safe.checker._settings import Settings

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
ODD = """
    from sqlalchemy.ext.asyncio import async_sessionmaker

    def make(**options):
        return async_sessionmaker(**options)
"""


def found(path: str, settings: Settings | None = None, **files: str) -> list[tuple[int, str, str]]:
    """Return the findings of one file of a code base: line, level, code."""
    modules = [extract(f"{name}.py", dedent(text).encode()) for name, text in files.items()]
    project = link(modules, settings or Settings())
    (one,) = [module for module in modules if module.path == f"{path}.py"]
    return [(each.line, each.severity, each.code) for each in findings(project, one)]


HANDLER = """\
from models import User
{imports}
async def handler(db, user_id):
    user = db.get(User, user_id)
    return user.name, user.posts
"""


def test_a_session_of_a_synchronous_code_base_is_synchronous() -> None:
    """A coroutine that is given `db` loads what is missing: nothing to find."""
    handler = HANDLER.format(imports="")
    assert found("app", app=handler, models=MODELS, database=SYNC) == []


def test_a_session_that_is_awaited_is_asynchronous() -> None:
    """Whatever the sessionmakers of the code base are."""
    handler = HANDLER.format(imports="").replace("db.get", "await db.get")
    assert found("app", app=handler, models=MODELS, database=SYNC) == [(5, "error", "SQS010")]


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


SERVICE = """
    from container import {opener}
    from models import User

    async def handler(user_id):
        async with {opener}() as service:
            user = await service.get_user(user_id)
        return user.id
"""


@pytest.mark.parametrize("opener", ["users", "open_unit"])
def test_a_scope_is_what_the_settings_say(opener: str) -> None:
    """Nothing in sight says what the call in the `with` gives."""
    app = SERVICE.format(opener=opener)
    settings = Settings(scopes=("us*s", "open_*"))
    assert found("app", app=app, models=MODELS) == []
    codes = [(8, "warning", "SQS001"), (8, "warning", "SQS003")]
    assert found("app", settings, app=app, models=MODELS)[:1] == codes[:1]


def test_a_scope_yields_what_its_annotation_says() -> None:
    """The methods of the service are followed, with the session that it is said to hold."""
    app = """
        from collections.abc import AsyncIterator
        from contextlib import asynccontextmanager
        from sqlalchemy.ext.asyncio import async_sessionmaker
        from container import resolve
        from models import User

        Session = async_sessionmaker(expire_on_commit=False)

        class Users:
            def __init__(self, session):
                self.session = session

            async def get(self, user_id):
                return await self.session.get(User, user_id)

        @asynccontextmanager
        async def users() -> AsyncIterator[Users]:
            yield resolve(Users)

        async def handler(user_id):
            async with users() as service:
                user = await service.get(user_id)
            return user.id, user.posts
    """
    settings = Settings(scopes=("users",))
    expected = [(24, "info", "SQS001"), (24, "error", "SQS001")]
    assert found("app", app=app, models=MODELS) == []
    assert found("app", settings, app=app, models=MODELS) == expected


def test_a_session_is_what_the_settings_call_one() -> None:
    """By the name of the parameter, whatever its annotation."""
    app = """
        from models import User

        async def handler(tx: "Transaction", user_id):
            user = await tx.get(User, user_id)
            await tx.rollback()
            return user.name
    """
    assert found("app", app=app, models=MODELS) == []
    settings = Settings(session_names=("tx",))
    assert found("app", settings, app=app, models=MODELS) == [(7, "error", "SQS021")]


EXPIRING = """
    from database import factory
    from models import User

    async def handler(user_id):
        async with factory() as session:
            user = await session.get(User, user_id)
            await session.commit()
            return user.name
"""


@pytest.mark.parametrize(
    ("expires", "expected"), [(None, []), (False, []), (True, [(9, "error", "SQS020")])]
)
def test_the_settings_say_what_expires(expires: bool | None, expected: list[object]) -> None:
    """Where no sessionmaker is in sight."""
    settings = Settings(expire_on_commit=expires, scopes=("factory",))
    assert found("app", settings, app=EXPIRING, models=MODELS) == expected


def test_a_sessionmaker_in_sight_knows_better() -> None:
    """The setting is for what is not known."""
    app = EXPIRING.replace("from database import factory", "from database import Session")
    app = app.replace("factory()", "Session()")
    settings = Settings(expire_on_commit=True)
    keeping = ASYNC.replace("maker()", "maker(expire_on_commit=False)")
    assert found("app", settings, app=app, models=MODELS, database=keeping) == []
    settings = Settings(expire_on_commit=False)
    expected = [(9, "error", "SQS020")]
    assert found("app", settings, app=app, models=MODELS, database=ASYNC) == expected


GENERIC = """
    from typing import Generic, TypeVar
    from sqlalchemy import select
    from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
    from models import Base, User

    Model = TypeVar("Model", bound=Base)
    Session = async_sessionmaker(expire_on_commit=False)

    class Crud(Generic[Model]):
        def __init__(self, model: type[Model]):
            self.model = model

        async def get(self, db: AsyncSession, id: int) -> Model | None:
            result = await db.execute(select(self.model).where(self.model.id == id))
            return result.scalars().first()

    class UserCrud(Crud[User]):
        pass

    users = {made}

    async def handler(user_id):
        async with Session() as db:
            user = await users.get(db, user_id)
        return user.posts
"""


@pytest.mark.parametrize("made", ["UserCrud(User)", "Crud(User)", "Crud(model=User)"])
def test_a_global_object_knows_the_model_that_it_was_made_with(made: str) -> None:
    """`users = Crud(User)`: what its methods select is known."""
    app = GENERIC.format(made=made)
    assert found("app", app=app, models=MODELS) == [(26, "error", "SQS001")]


def test_a_base_class_that_is_imported_in_a_circle_is_no_end() -> None:
    """`from other import Base` in one file, `from app import Base` in the other."""
    app = """
        from other import Base
        from sqlalchemy.ext.asyncio import AsyncSession

        class User(Base):
            __tablename__ = "users"

        async def handler(session: AsyncSession, user: User):
            await session.rollback()
            return user.id
    """
    assert found("app", app=app, other="from app import Base") == []


def test_a_folder_that_is_a_package_itself_is_no_end() -> None:
    """An `__init__.py` beside the files that are checked."""
    files = {"__init__": "", "app": HANDLER.format(imports=""), "models": MODELS}
    assert found("app", **files, database=ASYNC)


UNSEEN = """
    from sqlalchemy import select
    from database import SessionLocal
    from models import User

    async def rename():
        async with SessionLocal() as session:
            user = (await session.scalars(select(User))).one()
            await session.commit()
        print(user.name)
"""


def test_a_sessionmaker_that_is_not_here_has_settings_that_are_not_known():
    """It is taken for one by its name, in a file that imports SQLAlchemy."""
    assert found("a", a=UNSEEN, models=MODELS) == [(10, "warning", "SQS001")]
    others = UNSEEN.replace("from database import", "from concurrent.futures import")
    assert found("a", a=others, models=MODELS) == []


def test_a_backref_in_another_file_is_an_attribute():
    """Though the model's own file says nothing of it."""
    hats = """
        from sqlalchemy import ForeignKey
        from sqlalchemy.orm import backref, mapped_column, relationship
        from models import Base

        class Hat(Base):
            __tablename__ = "hats"
            id = mapped_column(primary_key=True)
            user_id = mapped_column(ForeignKey("users.id"))
            user = relationship("User", backref=backref("hats", lazy="LAZY"))
    """
    use = """
        from db import Session
        from models import User

        async def show():
            async with Session() as session:
                user = await session.get(User, 1)
                print(user.hats)
    """
    lazy = hats.replace("LAZY", "select")
    assert found("use", use=use, models=MODELS, db=ASYNC, hats=lazy) == [(8, "error", "SQS010")]
    eager = hats.replace("LAZY", "selectin")
    assert found("use", use=use, models=MODELS, db=ASYNC, hats=eager) == []


def test_the_fingerprint_of_a_file_follows_backrefs():
    """A file that it does not import can give its entities another attribute."""
    use = "from models import User\nasync def f(session): return (await session.get(User, 1)).hats"
    hat = "from sqlalchemy.orm import relationship\nfrom models import Base\nclass Hat(Base):\n    "
    files = {"use.py": use, "models.py": dedent(MODELS), "hats.py": f"{hat}user = 1"}
    prints = []
    for line in ('user = relationship("User")', 'user = relationship("User", backref="hats")'):
        files["hats.py"] = hat + line
        modules = [extract(name, text.encode()) for name, text in files.items()]
        prints.append(link(modules).fingerprint("use.py"))
    assert prints[0] != prints[1]


def test_what_a_relationship_is_loaded_of_is_no_relationship() -> None:
    """A repository that loads `self.model.author` says nothing about a column called `model`."""
    app = """
        from sqlalchemy.orm import selectinload
        from models import Picture

        class Repository:
            def options(self):
                return selectinload(self.model.author)

        async def handler(session, picture_id):
            picture = await session.get(Picture, picture_id)
            return getattr(picture, "model", ""), getattr(picture, "author", None)
    """
    assert found("app", app=app, database=ASYNC) == [(11, "error", "SQS011")]


def test_a_relationship_that_is_loaded_in_part_is_loaded() -> None:
    """`selectinload(User.posts.and_(...))` is about `posts`."""
    app = """
        from sqlalchemy import select
        from sqlalchemy.ext.asyncio import AsyncSession
        from sqlalchemy.orm import selectinload
        from models import Post, User

        def statement():
            return select(User).options(selectinload(User.posts.and_(Post.id > 1)))

        async def handler(session: AsyncSession, user: User):
            return user.posts
    """
    assert found("app", app=app, models=MODELS, database=ASYNC) == []


def test_a_session_that_a_service_is_made_of_is_kept_by_it() -> None:
    """What a call of something unknown gives may hold the session that was made for it."""
    app = """
        from services import UserService
        from database import Session

        async def handler(user_id):
            async with UserService.new(Session()) as users:
                return (await users.get(user_id)).name
    """
    assert found("app", app=app, database=ASYNC) == []


def test_a_commit_whose_session_is_not_known_may_have_expired_an_entity() -> None:
    """The message does not claim what only the settings can tell."""
    app = """
        from database import make
        from models import User

        async def handler(user_id):
            Session = make()
            async with Session() as session:
                user = await session.get(User, user_id)
                await session.commit()
            return user.name
    """
    files = {"app": app, "models": MODELS, "database": ODD}
    modules = [extract(f"{name}.py", dedent(text).encode()) for name, text in files.items()]
    (one,) = findings(link(modules), modules[0])
    assert one.severity == "warning"
    assert "the commit in line 9 may have expired it" in one.message


PHANTOM = """
    {}

    async def claim(db, phantom: "User"):
        from models import User
        try:
            await db.commit()
        except IntegrityError:
            await db.rollback()
            print(phantom.id)
"""


def test_an_annotation_that_is_bound_nowhere_means_the_only_model_of_its_name() -> None:
    """Where the file imports from the model's module at all."""
    expected = [(10, "error", "SQS021")]
    assert found("app", app=PHANTOM.format(""), models=MODELS, database=ASYNC) == expected


def test_an_annotation_that_is_bound_means_what_it_is_bound_to() -> None:
    """A model of the same name is another class."""
    app = PHANTOM.format("from telegram import User")
    assert found("app", app=app, models=MODELS, database=ASYNC) == []
