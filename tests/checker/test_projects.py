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


def test_options_that_a_function_makes_load_what_it_is_given() -> None:
    """`.options(*with_posts(User.posts))`: the relationship is loaded somewhere."""
    app = """
        from sqlalchemy import select
        from helpers import with_posts
        from models import User

        async def users(session):
            return await session.scalars(select(User).options({}))

        async def show(user: User):
            return user.posts
    """
    files = {"models": MODELS, "database": ASYNC}
    assert found("app", app=app.format("*with_posts(User.posts)"), **files) == []
    assert found("app", app=app.format("with_posts(User.posts)"), **files) == []
    assert found("app", app=app.format("raiseload(User.posts)"), **files) == [
        (10, "warning", "SQS010")
    ]


def test_the_session_of_another_client_is_none_of_these() -> None:
    """Such as that of a test client of Flask, which holds cookies."""
    app = """
        from models import User

        def test_login(client):
            with client.session_transaction() as values:
                data = dict(key=values.get(User), nonce=values.load("nonce"))
                nonce = values.find_nonce()
            return client.post("/login", data, nonce)
    """
    assert found("app", app=app, models=MODELS, database=SYNC) == []


def test_what_is_looked_up_by_a_written_key_is_no_entity() -> None:
    """`values.get("nonce")` is asked of a dict, not of a repository."""
    app = """
        from models import User

        def login(client):
            with user_service() as values:
                nonce = values.get("nonce")
                other = values.get(1)
            client.post(nonce)
            client.post(other)
    """
    assert found("app", app=app, models=MODELS, database=ODD) == [(9, "info", "SQS003")]


@pytest.mark.parametrize(("own", "level"), [("expire_on_commit=False", []), ("", ["warning"])])
def test_the_sessionmakers_of_the_file_tell_of_a_factory_that_is_handed_in(own, level) -> None:
    """A test that makes sessions as the application does not hands its factory to a helper."""
    app = f"""
        from sqlalchemy.ext.asyncio import async_sessionmaker
        from models import User

        def factory():
            return async_sessionmaker({own})

        async def add(session_factory):
            async with session_factory() as session:
                user = User(name="Ann")
                session.add(user)
                await session.commit()
                return user.id
    """
    expected = [(13, one, "SQS020") for one in level]
    files = {"models": MODELS, "database": ASYNC + ODD.replace("import", "import", 1)}
    assert found("app", app=app, **files) == expected


def test_a_parameter_that_is_called_like_a_model_is_one_only_if_it_is_read() -> None:
    """Of a text nobody reads attributes."""
    app = """
        from models import User

        def tell(session, user):
            send_mail.delay(user)

        def greet(session, user):
            print(user.name)
            send_mail.delay(user)
    """
    assert found("app", app=app, models=MODELS, database=SYNC) == [(9, "warning", "SQS031")]


def test_a_service_that_cannot_be_read_is_no_model_though_it_lives_beside_them() -> None:
    """In a package `models` whose file this Python does not understand."""
    app = """
        from sqlalchemy.ext.asyncio import AsyncSession
        from app.models.services import UserService

        class Payments:
            def __init__(self, users: UserService, session: AsyncSession):
                self.users, self.session = users, session

            async def pay(self, user_id):
                await self.session.rollback()
                await self.users.cache.put(user_id)
    """
    assert found("app", app=app, database=ASYNC) == []


def test_the_target_that_another_lent_session_holds_may_be_there() -> None:
    """A service and its repository are handed the same session."""
    models = MODELS + "        user: Mapped[User] = relationship()\n"
    app = """
        from sqlalchemy.ext.asyncio import AsyncSession
        from models import Post, User

        class Posts:
            def __init__(self, session: AsyncSession):
                self.session = session

            async def get(self, post_id):
                return await self.session.get(Post, post_id)

        class Service:
            def __init__(self, session: AsyncSession, posts: Posts):
                self.session, self.posts = session, posts

            async def show(self, post_id):
                post = await self.posts.get(post_id)
                {}
                return post.user
    """
    holding = app.format("user = await self.session.get(User, post.user_id)")
    assert found("app", app=holding, models=models, database=ASYNC) == []
    assert found("app", app=app.format("pass"), models=models, database=ASYNC) == [
        (19, "warning", "SQS010")
    ]


@pytest.mark.parametrize(
    "replaced",
    [
        'monkeypatch.setattr("services.describe", fake)',
        'monkeypatch.setattr(services, "describe", fake)',
        'mocker.patch("services.describe")',
        'mock.patch.object(services, "describe")',
    ],
)
def test_what_a_test_puts_something_else_in_the_place_of_is_not_followed(replaced: str) -> None:
    """The function itself would read what is not loaded."""
    services = """
        async def describe(user):
            return user.posts

        async def tell(user):
            return await describe(user)
    """
    app = f"""
        from models import User
        from services import tell

        async def test_tell(session, monkeypatch, mocker):
            {replaced}
            user = await session.get(User, 1)
            await tell(user)
    """
    files = {"models": MODELS, "database": ASYNC, "services": services}
    assert found("app", app=app, **files) == []
    other = app.replace("services.describe", "services.other").replace('"describe"', '"other"')
    assert found("app", app=other, **files) == [(8, "error", "SQS010")]


KEEPING = """
    from sqlalchemy.ext.asyncio import async_sessionmaker as _async_sessionmaker

    Session = _async_sessionmaker(expire_on_commit=False)
"""
AFTER_COMMIT = """
    from sqlalchemy.ext.asyncio import AsyncSession
    from database import Session
    from models import User

    async def rename(session: AsyncSession, user: User):
        await session.commit()
        return user.name
"""


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("from sqlalchemy.ext.asyncio import async_sessionmaker\nm = async_sessionmaker()", []),
        ("from database import Session as async_sessionmaker\nopened = async_sessionmaker()", []),
    ],
    ids=["of a script", "called alike"],
)
def test_the_sessionmaker_of_a_script_has_no_say_where_the_shared_ones_keep(
    script, expected
) -> None:
    """Nobody imports it, so that it makes no sessions for the others."""
    files = {"models": MODELS, "database": KEEPING, "script": script}
    assert found("app", app=AFTER_COMMIT, **files) == expected


def test_the_sessionmakers_that_are_shared_have_to_agree() -> None:
    """Or nothing is known of a session that is handed in."""
    other = "from sqlalchemy.ext.asyncio import async_sessionmaker\nmade = async_sessionmaker()"
    app = AFTER_COMMIT + "    from other import made\n"
    files = {"models": MODELS, "database": KEEPING, "other": other}
    assert found("app", app=app, **files) == [(8, "warning", "SQS020")]


@pytest.mark.parametrize(
    "opened",
    ["with factory() as db:", "for _ in range(1):\n                db = factory()"],
    ids=["with", "bare"],
)
def test_a_session_that_is_used_without_await_is_synchronous(opened: str) -> None:
    """In a coroutine, such as a test of asynchronous code with a synchronous database."""
    app = f"""
        from models import User

        async def seed(session_factory, user_id):
            factory = session_factory
            {opened}
                user = User(name="Ann")
                db.add(user)
                db.commit()
                return user.name
    """.replace("factory()", "session_factory()")
    files = {"models": MODELS, "database": SYNC + ODD.replace("import", "import", 1)}
    assert found("app", app=app, **files) == []


def test_a_test_may_close_its_fixture() -> None:
    """Nobody else goes on using it."""
    app = """
        import pytest
        from sqlalchemy.ext.asyncio import AsyncSession

        async def test_it(session: AsyncSession):
            async with session:
                await session.commit()

        @pytest.fixture
        async def row(session: AsyncSession):
            await session.close()

        async def store(session: AsyncSession):
            await session.close()
    """
    assert found("app", app=app, models=MODELS, database=ASYNC) == [(14, "warning", "SQS052")]


def test_the_name_of_a_sessionmaker_may_be_the_projects_own() -> None:
    """A variable that holds what a function has made is called so; it says nothing of settings."""
    other = """
        from database import Session

        async_sessionmaker = Session

        def opened():
            return async_sessionmaker()
    """
    app = AFTER_COMMIT + "    from other import opened\n"
    assert found("app", app=app, models=MODELS, database=KEEPING, other=other) == []


def test_async_with_tells_which_sessionmakers_a_session_may_be_of() -> None:
    """Where those of one kind keep what is loaded, and those of the other do not."""
    factory = """
        def made():
            return eval("Session")

        session_factory = made()
    """
    app = """
        from factory import session_factory
        from models import User

        async def rename(user_id):
            async with session_factory() as session:
                user = await session.get(User, user_id)
                await session.commit()
                return user.name
    """
    files = {"models": MODELS, "database": KEEPING, "sync": SYNC, "factory": factory}
    assert found("app", app=app, **files) == []


def test_services_of_one_scope_share_its_session_by_name_of_the_scope() -> None:
    """What `gather` shares is the session of the scope, which has no name to quote."""
    source = """
        import asyncio
        from database import Session
        from sqla_safe import scoped_services

        class Users:
            def __init__(self, session):
                self.session = session

            async def get(self, key):
                return await self.session.get(User, key)

        async def f():
            async with scoped_services(Session, Users) as users:
                await asyncio.gather(users.get(1), users.get(2))
    """
    files = {"app.py": source, "database.py": ASYNC}
    modules = [extract(path, dedent(text).encode()) for path, text in files.items()]
    (one,) = findings(link(modules), modules[0])
    assert one.message == "the session of the scope is used by several branches at once"
