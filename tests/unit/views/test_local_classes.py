"""Classes that are defined in the functions that use them, annotations being text."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path as Folder
from typing import Annotated, Any, NamedTuple, TypedDict

import attrs
import msgspec
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from sqla_safe import Path, ViewDefinitionError, afetch_one, fetch_one, view_plan
from tests.unit.views.models import Base, Post, User

ANN = select(User).where(User.id == 1)


@dataclass
class Shadowed:
    """Not the class of this name that a test defines."""

    nothing: str


def local_dataclasses() -> tuple[Any, Any]:
    """Return a class, and the class that it names."""

    @dataclass
    class Inner:
        text: str

    @dataclass
    class Outer:
        posts: list[Inner]

    return Outer, Inner


def test_a_class_names_another_one_of_the_same_function(session: Session) -> None:
    """What the running function calls by a name is what its classes mean by it."""

    @dataclass
    class Line:
        text: str

    @dataclass
    class Card:
        posts: list[Line]

    assert fetch_one(session, Card, ANN).posts[0] == Line("one")


def test_a_local_name_wins_over_the_module(session: Session) -> None:
    """A name means the nearest thing, as it does for Python itself."""

    @dataclass
    class Shadowed:
        text: str

    @dataclass
    class Card:
        posts: list[Shadowed]

    assert fetch_one(session, Card, ANN).posts[0] == Shadowed("one")


def test_a_local_alias_and_import_are_found(session: Session) -> None:
    """Whatever a function calls by a name will do, not only classes."""
    import typing_extensions as te

    Title = Annotated[str, Path(User.name)]  # noqa: N806

    @dataclass
    class Card:
        title: Title
        id: te.Annotated[int, "key"]

    assert fetch_one(session, Card, ANN) == Card("Ann", 1)


def test_a_function_inside_another_sees_the_outer_names(session: Session) -> None:
    """The functions around are searched from the inside out."""

    @dataclass
    class Line:
        text: str

    def inner() -> Any:
        @dataclass
        class Card:
            posts: list[Line]

        return fetch_one(session, Card, ANN)

    assert inner().posts[0] == Line("one")


def test_another_call_of_the_function_has_other_classes(session: Session) -> None:
    """They are not taken for those of the call that has defined the view."""

    def defined(view: Any = None) -> Any:
        @dataclass
        class Line:
            text: str

        @dataclass
        class Card:
            posts: list[Line]

        return Card if view is None else fetch_one(session, view, ANN)

    with pytest.raises(ViewDefinitionError, match="Line"):
        defined(defined())


def kinds() -> Iterator[Any]:
    """Give the same view as a class of each kind that reads annotations as text."""

    class Line(NamedTuple):
        text: str

    class AsTuple(NamedTuple):
        posts: list[Line]

    class AsDict(TypedDict):
        posts: list[Line]

    class AsStruct(msgspec.Struct):
        posts: list[Line]

    @attrs.define
    class AsAttrs:
        posts: list[Line]

    for kind in (AsTuple, AsDict, AsStruct, AsAttrs):
        yield view_plan(kind, User).entity


def test_every_kind_of_class_may_be_local() -> None:
    """Named tuples, typed dicts, structs and attrs classes are found like dataclasses."""
    assert list(kinds()) == [User] * 4


def test_a_function_that_has_ended_is_not_there_to_ask(session: Session) -> None:
    """Names that are gone are said to be, with what to do."""
    outer, _ = local_dataclasses()
    with pytest.raises(ViewDefinitionError, match="names 'Inner', which cannot be found in"):
        fetch_one(session, outer, ANN)


def test_another_function_of_that_name_is_not_asked(session: Session) -> None:
    """Only the function that a class was defined in knows what it means."""
    outer, _ = local_dataclasses()

    def other() -> Callable[[], Any]:
        def local_dataclasses() -> Any:
            @dataclass
            class Inner:  # pyright: ignore[reportUnusedClass]
                text: str

            return fetch_one(session, outer, ANN)

        return local_dataclasses

    with pytest.raises(ViewDefinitionError, match="names 'Inner'"):
        other()()


def test_a_coroutine_asks_for_its_own_classes(tmp_path: Folder) -> None:
    """Asynchronous sessions read in a greenlet, whose caller is found all the same."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'views.db'}")

    async def read() -> Any:
        @dataclass
        class Line:
            text: str

        @dataclass
        class Card:
            posts: list[Line]

        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with AsyncSession(engine) as session:
            session.add(User(id=1, name="Ann", posts=[Post(text="one")]))
            card = await afetch_one(session, Card, ANN)
        await engine.dispose()
        return card.posts == [Line("one")]

    assert asyncio.run(read())
