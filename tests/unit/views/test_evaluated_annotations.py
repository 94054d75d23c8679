"""Views in a module without ``from __future__ import annotations``: its annotations are types.

On Python 3.14 they are not evaluated before somebody asks, and may name what is defined later.
"""

import sys
from dataclasses import InitVar, dataclass, make_dataclass
from typing import Annotated, Any, Generic, NamedTuple, TypedDict, TypeVar

import attrs
import msgspec
import pydantic
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from sqla_safe import Path, ViewDefinitionError, fetch_one
from tests.unit.views.models import City, User

T = TypeVar("T")
ANN = select(User).where(User.id == 1)


@dataclass(frozen=True, slots=True)
class CityCard:
    id: int


@dataclass(frozen=True)
class Dataclass:
    id: int
    city: CityCard | None
    town: Annotated[str | None, Path(User.city, City.name)]


@dataclass
class WithArgument:
    id: int
    name: InitVar[str]


@dataclass
class Of(Generic[T]):
    id: int
    name: T


class Struct(msgspec.Struct):
    id: int
    city: CityCard | None


@attrs.frozen
class Attrs:
    id: int
    city: CityCard | None


class Tuple(NamedTuple):
    id: int
    city: CityCard | None


class Dict(TypedDict):
    id: int
    city: CityCard | None


class Model(pydantic.BaseModel):
    id: int
    name: str


Made = make_dataclass("Made", [("id", int), ("name", Annotated[str, "said of it"])])

EXPECTED: dict[Any, Any] = {
    Dataclass: Dataclass(1, CityCard(1), "Amaurot"),
    WithArgument: WithArgument(1, "Ann"),
    Of[str]: Of(1, "Ann"),
    Struct: Struct(1, CityCard(1)),
    Attrs: Attrs(1, CityCard(1)),
    Tuple: Tuple(1, CityCard(1)),
    Dict: Dict(id=1, city=CityCard(1)),
    Model: Model(id=1, name="Ann"),
    Made: Made(1, "Ann"),
}


@pytest.mark.parametrize("into", EXPECTED)
def test_annotations_that_are_types_are_read(session: Session, into: Any) -> None:
    """In classes of every kind."""
    assert fetch_one(session, into, ANN) == EXPECTED[into]


def test_a_subclass_has_those_of_its_base(session: Session) -> None:
    """Each class has annotations of its own."""

    class Named(Struct):
        name: str

    assert fetch_one(session, Named, ANN) == Named(id=1, city=CityCard(1), name="Ann")


def test_classes_of_a_function_are_read(session: Session) -> None:
    """They hold the types themselves, wherever the function is by then."""

    @dataclass
    class Local:
        id: int

    @dataclass
    class Outer:
        id: int
        city: Local | None

    assert fetch_one(session, Outer, ANN) == Outer(1, Local(1))


@pytest.mark.skipif(sys.version_info < (3, 14), reason="a name is looked up where it stands")
def test_a_class_may_name_a_later_one(session: Session) -> None:
    """From Python 3.14 on, also without quotes."""

    @dataclass
    class Early:
        id: int
        city: "Late | None"

    @dataclass
    class Earlier:
        id: int
        city: Late | None  # type: ignore[used-before-def]  # noqa: F821

    @dataclass
    class Late:
        id: int

    assert fetch_one(session, Early, ANN) == Early(1, Late(1))
    assert fetch_one(session, Earlier, ANN) == Earlier(1, Late(1))


@pytest.mark.skipif(sys.version_info < (3, 14), reason="the class could not be defined")
def test_a_name_that_is_nowhere_is_told(session: Session) -> None:
    """At the first use, since nobody has looked before."""

    @dataclass
    class Lost:
        id: int
        city: Nowhere  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(ViewDefinitionError, match="Nowhere"):
        fetch_one(session, Lost, ANN)
