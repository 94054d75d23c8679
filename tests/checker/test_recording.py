"""What one file knows of a call serves the next one, and changes nothing of what is found there."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from sqla_safe.checker import _memo, _run
from sqla_safe.checker._facts import extract
from sqla_safe.checker._looking import Linked
from sqla_safe.checker._project import link

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVICES = b"""\
from app.models import Session, User


async def load(session, key):
    if key is None:
        return await again(session, key)
    return await session.get(User, key)


async def again(session, key):
    await save(session)
    return await load(session, key)


async def save(session):
    for _ in range(3):
        await session.flush()
    await session.commit()


async def shut(session):
    await save(session)
    await session.close()


async def own(session):
    async with Session() as inner:
        return await inner.get(User, 1)


async def later(session):
    def inside():
        return session

    await save(inside())
"""
MODELS = b"""\
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase): ...


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    pet: Mapped["Pet"] = relationship()


class Pet(Base):
    __tablename__ = "pets"
    id: Mapped[int] = mapped_column(primary_key=True)


Session = async_sessionmaker(create_async_engine(""), expire_on_commit=True)
"""
HANDLER = """\
from app.models import Session
from app.services import again, later, load, own, save, shut


async def show(message, key):
    async with Session() as session:
        user = await {first}(session, key)
        other = await {second}(session)
        await message.answer(other)
        await message.answer(user.id)
        await message.answer(user.pet)
"""
CALLS = [
    ("load", "save"),
    ("again", "save"),
    ("load", "shut"),
    ("again", "shut"),
    ("load", "later"),
    ("again", "later"),
    ("load", "own"),
    ("again", "own"),
]
HANDLERS = {
    f"app/{first}_{second}.py": HANDLER.format(first=first, second=second).encode()
    for first, second in CALLS
}
SOURCES = {"app/models.py": MODELS, "app/services.py": SERVICES, **HANDLERS}


def linked(sources: dict[str, bytes] = SOURCES) -> Linked:
    """Return a linked application, that has looked at nothing yet."""
    modules = {path: extract(path, source) for path, source in sources.items()}
    return Linked(link(modules.values()), modules)


def random_services(random: Random) -> Iterator[str]:
    """Give functions that call each other."""
    yield "from app.models import User\n"
    for number in range(6):
        yield f"\n\nasync def f{number}(session, key, user):"
        for _ in range(random.randint(1, 4)):
            yield random.choice(STATEMENTS).format(random.randrange(6))
        yield random.choice(RETURNS).format(random.randrange(6))


def random_handler(random: Random) -> Iterator[str]:
    """Give a function that calls some of them."""
    yield "from app.models import Session, User"
    yield "from app.services import f0, f1, f2, f3, f4, f5\n\n"
    yield "async def show(message, key):"
    yield "    async with Session() as session:"
    yield "        user = await session.get(User, key)"
    for _ in range(random.randint(1, 4)):
        call = f"await f{random.randrange(6)}(session, {random.choice(('key', 'None'))}, user)"
        yield random.choice(("        {}", "        user = {}", "        other = {}")).format(call)
        yield random.choice(("        await message(user.id)", "        await message(user.pet)"))
    yield "    await g0(user)"


STATEMENTS = (
    "    await f{}(session, key, user)",
    "    user = await f{}(session, key, user)",
    "    await f{}(session, None, user)",
    "    if key is None:\n        return await f{}(session, 1, None)",
    "    for _ in range(3):\n        await f{}(session, key, None)",
    "    await session.commit()",
    "    await session.close()",
    "    await session.refresh(user)",
    "    def inside():\n        return user",
    "    name = user.id",
)
RETURNS = (
    "    return user",
    "    return await session.get(User, key)",
    "    return await f{}(session, 2, user)",
)

TELLING = (185, 216, 236, 268, 307, 323)
"""Seeds of code in which a call is known, but what is known does not hold where it is made."""


@pytest.fixture
def followed(monkeypatch):
    """Note the functions that are followed, not those of which a call is known."""
    names: list[str] = []
    summarise = _memo._summarise  # noqa: SLF001 - what is memoised is counted

    def noting(run, frame, state, ref, *given):
        names.append(ref.of.name)
        return summarise(run, frame, state, ref, *given)

    monkeypatch.setattr(_memo, "_summarise", noting)
    return names


@pytest.mark.parametrize("budget", [1, 5, 10, 15, 20, 25, 30, 40, 50, 60, 2_500])
def test_no_file_depends_on_those_before_it(monkeypatch, budget):
    """In whatever order they come, and wherever the budget of steps ends."""
    monkeypatch.setattr(_run, "MOST_STEPS", budget)
    alone = {path: linked().look(path) for path in SOURCES}
    assert any(looked.findings for _, looked, _ in alone.values())
    for order in (sorted(SOURCES), sorted(SOURCES, reverse=True), [*SOURCES, *SOURCES]):
        together = linked()
        for path in order:
            assert together.look(path) == alone[path]


@pytest.mark.parametrize("seed", [*range(15), *TELLING])
def test_no_file_depends_on_those_before_it_whatever_they_call(monkeypatch, seed):
    """Functions that call each other, and themselves, any way round."""
    random = Random(seed)
    monkeypatch.setattr(_run, "MOST_STEPS", random.choice((20, 40, 60, 80, 120, 200, 2_500)))
    sources = {
        "app/models.py": MODELS,
        "app/services.py": "\n".join(random_services(random)).encode(),
    }
    for number in range(4):
        sources[f"app/h{number}.py"] = "\n".join(random_handler(random)).encode()
    alone = {path: linked(sources).look(path) for path in sources}
    together = linked(sources)
    for path in [*sources, *sources]:
        assert together.look(path) == alone[path]


def test_what_is_called_from_two_files_is_followed_once(followed):
    """The second file takes over what the first one knows."""
    together = linked()
    together.look("app/load_save.py")
    assert {"load", "save"} <= set(followed)
    followed.clear()
    together.look("app/load_shut.py")
    assert followed == ["shut"]


def test_a_function_that_was_followed_inside_of_another_is_followed_anew(followed):
    """Inside of `again`, what `load` calls was not followed; called by itself it is."""
    together = linked()
    together.look("app/again_save.py")
    followed.clear()
    together.look("app/load_save.py")
    assert "load" in followed


def test_what_is_made_with_names_around_it_is_followed_anew(followed):
    """A function that is defined inside goes with the names of that one call."""
    together = linked()
    together.look("app/load_later.py")
    followed.clear()
    together.look("app/again_later.py")
    assert "later" in followed


def test_what_is_held_is_bounded(followed, monkeypatch):
    """A large code base has many functions."""
    monkeypatch.setattr("sqla_safe.checker._recording._MOST", 0)
    together = linked()
    together.look("app/load_save.py")
    followed.clear()
    together.look("app/load_shut.py")
    assert {"load", "shut", "save"} <= set(followed)


MOCKING = """\
from unittest.mock import patch

from app.models import Session, User
from app.services import shut


async def test_show(message):
    with patch("app.services.save"):
        async with Session() as session:
            user = await session.get(User, 1)
            await shut(session)
            await message.answer(user.id)
"""


def test_what_a_test_replaces_is_as_it_is_for_the_files_around():
    """Before the test was looked at, and after it."""
    sources = {**SOURCES, "app/test_show.py": MOCKING.encode()}
    alone = {path: linked(sources).look(path) for path in sources}
    for order in (
        ["app/load_shut.py", "app/test_show.py"],
        ["app/test_show.py", "app/load_shut.py"],
    ):
        together = linked(sources)
        for path in order:
            assert together.look(path) == alone[path]
