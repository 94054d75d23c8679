"""Definitions that are rare, right or wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from inspect import signature
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import msgspec
import pydantic
import pytest
from sqlalchemy import (
    JSON,
    ForeignKey,
    ForeignKeyConstraint,
    LargeBinary,
    String,
    case,
    event,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.ext.associationproxy import AssociationProxy, association_proxy
from sqlalchemy.ext.hybrid import hybrid_method, hybrid_property
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    aliased,
    attribute_keyed_dict,
    column_keyed_dict,
    composite,
    keyfunc_mapping,
    mapped_column,
    relationship,
    with_loader_criteria,
)
from sqlalchemy.types import TypeDecorator, UserDefinedType
from typing_extensions import TypeAliasType

from sqla_safe import Expr, Path, ViewDataError, ViewDefinitionError, fetch, view_plan
from sqla_safe.views import _keys
from tests.engines import in_memory

T = TypeVar("T")


class Base(DeclarativeBase):
    pass


class Odd(TypeDecorator[int]):
    """Says itself what its values are."""

    impl = String
    cache_ok = True

    @property
    def python_type(self) -> type[int]:
        return int

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return None if value is None else str(value)

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return None if value is None else int(value)


class Animal(Base):
    __tablename__ = "animals"
    id: Mapped[int] = mapped_column(primary_key=True)
    legs: Mapped[int] = mapped_column()
    name: Mapped[str]
    owner_id: Mapped[bytes | None] = mapped_column(ForeignKey("owners.key"))
    __mapper_args__ = {  # noqa: RUF012
        "polymorphic_on": case((legs == 2, "bird"), else_="beast"),
        "polymorphic_identity": "beast",
    }


class Bird(Animal):
    wing: Mapped[int | None]
    __mapper_args__ = {"polymorphic_identity": "bird"}  # noqa: RUF012


class Eagle(Bird):
    __mapper_args__ = {"polymorphic_identity": "eagle"}  # noqa: RUF012


class Shape(UserDefinedType[Any]):
    """Does not say what its values are."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "TEXT"


class Label(Base):
    __tablename__ = "labels"
    id: Mapped[int] = mapped_column(primary_key=True)
    shape: Mapped[Any | None] = mapped_column(Shape)
    animal_id: Mapped[int] = mapped_column(ForeignKey("animals.id"))
    animal: Mapped[Animal] = relationship(Animal)


class Owner(Base):
    """Has a key that JSON cannot carry."""

    __tablename__ = "owners"
    key: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    odd: Mapped[int | None] = mapped_column(Odd)
    words: Mapped[Any | None] = mapped_column(TSVECTOR().with_variant(String(), "sqlite"))
    data: Mapped[Any | None] = mapped_column(JSON)
    favourite_id: Mapped[int | None] = mapped_column(ForeignKey("animals.id"))
    animals: Mapped[list[Animal]] = relationship(foreign_keys=Animal.owner_id, order_by=Animal.id)
    favourite: Mapped[Animal | None] = relationship(foreign_keys=favourite_id)
    by_column: Mapped[dict[str, Animal]] = relationship(
        foreign_keys=Animal.owner_id,
        collection_class=column_keyed_dict(Animal.__table__.c.name),
        viewonly=True,
    )
    by_function: Mapped[dict[str, Animal]] = relationship(
        foreign_keys=Animal.owner_id,
        collection_class=keyfunc_mapping(lambda animal: animal.name),
        viewonly=True,
    )
    by_sum: Mapped[dict[int, Animal]] = relationship(
        foreign_keys=Animal.owner_id,
        collection_class=keyfunc_mapping(lambda animal: animal.id + 1),
        viewonly=True,
    )
    by_constant: Mapped[dict[str, Animal]] = relationship(
        foreign_keys=Animal.owner_id,
        collection_class=keyfunc_mapping(lambda _: "all"),
        viewonly=True,
    )
    by_private: Mapped[dict[int, Animal]] = relationship(
        foreign_keys=Animal.owner_id,
        collection_class=attribute_keyed_dict("_private"),
        viewonly=True,
    )
    animal_names: AssociationProxy[list[str]] = association_proxy("animals", "name")
    favourite_name: AssociationProxy[str | None] = association_proxy("favourite", "name")
    of_nothing: AssociationProxy[Any] = association_proxy("odd", "name")

    @hybrid_property
    def unsaid(self) -> str:
        return "x" if self.odd else "y"

    @hybrid_property
    def constant(self) -> int:
        return 5

    @hybrid_method
    def method(self) -> int:
        return 5


@pytest.fixture
def session() -> Iterator[Session]:
    """Give a session with two owners and three animals."""
    with in_memory(Base) as engine, Session(engine) as session:
        tweety = Bird(id=1, legs=2, name="Tweety", wing=3)
        session.add(
            Owner(key=b"\x00\xff", odd=7, animals=[tweety, Animal(id=2, legs=4, name="Rex")])
        )
        session.flush()
        session.add(Owner(key=b"\x01", animals=[Animal(id=3, legs=4, name="Tom")], favourite_id=1))
        session.commit()
        yield session


@dataclass(frozen=True)
class BirdCard:
    name: str
    wing: int | None


@dataclass(frozen=True)
class AnimalCard:
    name: str


@dataclass(frozen=True)
class OwnerCard:
    key: bytes
    odd: int | None
    words: str | None
    animals: tuple[BirdCard | AnimalCard, ...]
    favourite: BirdCard | AnimalCard | None
    by_function: dict[str, AnimalCard]
    favourite_name: str | None
    animal_names: tuple[str, ...]
    constant: Annotated[int, Expr(lambda owner: func.length(owner.key))]


def test_odd_keys_and_discriminators(session: Session) -> None:
    """Binary keys go as a list; a discriminator can be an expression; a to-one can be a union."""
    one, two = fetch(session, OwnerCard, select(Owner).order_by(Owner.key))
    rex, tom, tweety = AnimalCard("Rex"), AnimalCard("Tom"), BirdCard("Tweety", 3)
    both = {"Tweety": AnimalCard("Tweety"), "Rex": rex}
    assert one == OwnerCard(
        b"\x00\xff", 7, None, (tweety, rex), None, both, None, ("Tweety", "Rex"), 2
    )
    assert two == OwnerCard(
        b"\x01", None, None, (tom,), tweety, {"Tom": tom}, "Tweety", ("Tom",), 1
    )


class Room(Base):
    __tablename__ = "rooms"
    key: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    beds: Mapped[list[Bed]] = relationship(order_by="Bed.id")


class Bed(Base):
    __tablename__ = "beds"
    id: Mapped[int] = mapped_column(primary_key=True)
    room_key: Mapped[bytes] = mapped_column(ForeignKey(Room.key))


@dataclass(frozen=True)
class BedCard:
    id: int


@dataclass(frozen=True)
class RoomCard:
    key: bytes
    beds: tuple[BedCard, ...]


def test_a_list_of_keys_has_an_end(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where keys go as a list, more of them take more statements, with the same options."""
    monkeypatch.setitem(_keys.CHUNKS, "sqlite", 2)
    session.add_all([Room(key=bytes([number])) for number in range(5)])
    session.flush()
    session.add_all([Bed(id=10 * k + n, room_key=bytes([k])) for k in range(5) for n in (1, 2)])
    session.commit()
    sent: list[Any] = []
    event.listen(
        session.get_bind(),
        "before_cursor_execute",
        lambda *args: sent.append(args[4].execution_options.get("tag")),
    )
    statement = select(Room).order_by(Room.key).execution_options(tag="x")
    expected = [RoomCard(bytes([k]), (BedCard(10 * k + 1), BedCard(10 * k + 2))) for k in range(5)]
    assert fetch(session, RoomCard, statement) == expected
    assert sent == ["x"] * (1 + 3)


class Box(Base):
    """Half of its key is nothing for JSON."""

    __tablename__ = "boxes"
    key: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    pens: Mapped[list[Pen]] = relationship(order_by="Pen.id")


class Pen(Base):
    __tablename__ = "pens"
    id: Mapped[int] = mapped_column(primary_key=True)
    box_key: Mapped[bytes] = mapped_column(LargeBinary)
    box_number: Mapped[int]
    __table_args__ = (
        ForeignKeyConstraint(["box_key", "box_number"], ["boxes.key", "boxes.number"]),
    )


@dataclass(frozen=True)
class BoxCard:
    number: int
    pens: tuple[BedCard, ...]


def test_all_parts_of_a_key_decide_how_it_is_sent(session: Session) -> None:
    """As JSON only where each of them can be."""
    session.add_all([Box(key=b"\xff", number=1), Box(key=b"\x00", number=1)])
    session.flush()
    session.add_all([Pen(id=1, box_key=b"\xff", box_number=1)])
    session.commit()
    found = fetch(session, BoxCard, select(Box).order_by(Box.key))
    assert found == [BoxCard(1, ()), BoxCard(1, (BedCard(1),))]


@dataclass(frozen=True)
class Place:
    x: int | None
    y: int | None


NONE_ON: dict[str, Any] = (
    {"return_none_on": lambda x, y: x is None and y is None}
    if "return_none_on" in signature(composite).parameters
    else {}
)


class Tent(Base):
    __tablename__ = "tents"
    id: Mapped[int] = mapped_column(primary_key=True)
    x: Mapped[int | None]
    y: Mapped[int | None]
    place: Mapped[Place | None] = composite(Place, "x", "y", **NONE_ON)


@dataclass(frozen=True)
class TentCard:
    place: Place | None


def test_a_composite_of_nothing_is_what_the_entity_has(session: Session) -> None:
    """None since SQLAlchemy 2.1, an object before."""
    session.add_all([Tent(id=1), Tent(id=2, x=1), Tent(id=3, x=1, y=2)])
    session.commit()
    tents = select(Tent).order_by(Tent.id)
    expected = [TentCard(tent.place) for tent in session.scalars(tents)]
    assert fetch(session, TentCard, tents) == expected


class Root(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    legs: int


class Choices(pydantic.BaseModel):
    legs: int = pydantic.Field(validation_alias=pydantic.AliasChoices("feet", "legs"))


class Linked(pydantic.BaseModel):
    name: pydantic.SecretStr


class Wrapped(pydantic.BaseModel):
    legs: str

    @pydantic.model_validator(mode="before")
    @classmethod
    def read(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {"legs": str(values["legs"])}


class Later(pydantic.BaseModel):
    legs: Legs


Legs = int


class Pair(NamedTuple):
    legs: int


class Subclassed(Pair):
    @property
    def twice(self) -> int:
        return self.legs * 2


class Registering:
    made = 0

    def __init_subclass__(cls) -> None:
        Registering.made += 1


@dataclass(frozen=True)
class Registered(Registering):
    legs: int


class Limb(int):
    pass


Alias = TypeAliasType("Alias", "int | None")
Maybe = TypeAliasType("Maybe", T | None, type_params=(T,))  # type: ignore[misc, valid-type]


@dataclass(frozen=True)
class Aliased:
    legs: Alias
    wing: Maybe[int]  # type: ignore[valid-type]


@dataclass(frozen=True)
class Boxed(Generic[T]):
    legs: T
    name: list[T] | Any


REX = select(Animal).where(Animal.id == 2)


def test_rare_classes_are_filled(session: Session) -> None:
    """Extra fields, alias choices, validators before, late annotations, subclasses, registries."""
    assert fetch(session, Root, REX) == [Root(legs=4)]
    [loose] = fetch(session, Root, REX, validate=False)
    assert loose == Root.model_construct(legs=4)
    assert loose.model_extra == {}
    assert fetch(session, Choices, REX)[0].legs == 4
    assert fetch(session, Linked, REX)[0].name.get_secret_value() == "Rex"
    assert fetch(session, Wrapped, REX)[0].legs == "4"
    assert fetch(session, Later, REX)[0].legs == 4
    assert fetch(session, Subclassed, REX)[0].twice == 8
    made = Registering.made
    assert fetch(session, Registered, REX) == [Registered(4)]
    assert Registering.made == made
    bird = select(Bird)
    assert fetch(session, Aliased, bird) == [Aliased(2, 3)]
    assert fetch(session, Boxed[int], REX) == [Boxed(4, "Rex")]


def test_a_discriminator_of_an_alias(session: Session) -> None:
    """The expression is that of the alias that is selected."""
    other = aliased(Animal)
    statement = select(other).join(Animal, other.id > Animal.id).order_by(Animal.id, other.id)
    into: Any = BirdCard | AnimalCard
    names = ["Rex", "Tom", "Tom"]
    assert fetch(session, into, statement) == [AnimalCard(name) for name in names]


@dataclass(frozen=True)
class LabelCard:
    shape: Point | None
    animal: BirdCard | AnimalCard


@dataclass(frozen=True)
class Point:
    x: int


def test_a_union_that_must_be_there(session: Session) -> None:
    """A to-one that cannot be None is an error where its row is hidden."""
    session.add(Label(id=1, animal_id=1))
    assert fetch(session, LabelCard, select(Label)) == [LabelCard(None, BirdCard("Tweety", 3))]
    for hidden in (Animal, Bird):
        criteria = with_loader_criteria(hidden, hidden.id != 1)
        with pytest.raises(ViewDataError, match=r"LabelCard\.animal has no row"):
            fetch(session, LabelCard, select(Label).options(criteria))


def test_marks_say_what_they_are() -> None:
    """In a repr that can be read."""
    assert repr(Path(Animal.name)) == "Path(Animal.name)"
    assert repr(Path(Animal.name, depth=2)) == "Path(Animal.name, depth=2)"
    assert repr(Expr(func.lower)).startswith("Expr(")


@dataclass(frozen=True)
class ByColumn:
    by_column: dict[str, AnimalCard]


@dataclass(frozen=True)
class BySum:
    by_sum: dict[int, AnimalCard]


@dataclass(frozen=True)
class ByConstant:
    by_constant: dict[str, AnimalCard]


@dataclass(frozen=True)
class ByPrivate:
    by_private: dict[int, AnimalCard]


@dataclass(frozen=True)
class NamesByKey:
    by_function: Annotated[dict[str, str], Path(Owner.by_function, Animal.name)]


@dataclass(frozen=True)
class NamesInSet:
    animal_names: set[str]


@dataclass(frozen=True)
class Unsaid:
    unsaid: str


@dataclass(frozen=True)
class Constant:
    constant: int


@dataclass(frozen=True)
class Method:
    method: int


@dataclass(frozen=True)
class OfNothing:
    of_nothing: Any


@dataclass(frozen=True)
class Deep:
    names: Annotated[tuple[str, ...], Path(Owner.animals, Animal.name, Animal.id)]


@dataclass(frozen=True)
class Foreign:
    names: Annotated[tuple[str, ...], Path(Owner.animals, Owner.odd)]


@dataclass(frozen=True)
class Proxied:
    names: Annotated[str, Path(Owner.animal_names)]


@dataclass(frozen=True)
class Unclear:
    animals: tuple[AnimalCard | SameCard, ...]


@dataclass(frozen=True)
class SameCard:
    legs: int


class Tagged(msgspec.Struct, tag="fish"):
    name: str


@dataclass(frozen=True)
class Unknown:
    animals: tuple[AnimalCard | Tagged, ...]


@dataclass(frozen=True)
class Scattered:
    animals: tuple[AnimalCard | NothingCard, ...]


@dataclass(frozen=True)
class NothingCard:
    nothing: int


@dataclass(frozen=True)
class Broken:
    animals: tuple[AnimalCard | Unreadable, ...]


@dataclass(frozen=True)
class Unreadable:
    name: Missing  # type: ignore[name-defined]  # noqa: F821


@dataclass(frozen=True)
class OddText:
    odd: str


PROBLEMS: dict[Any, str] = {
    ByColumn: r"how Owner\.by_column finds its keys cannot be read",
    BySum: r"how Owner\.by_sum finds its keys cannot be read",
    ByConstant: r"how Owner\.by_constant finds its keys cannot be read",
    ByPrivate: r"how Owner\.by_private finds its keys cannot be read",
    NamesByKey: r"a dict has no single values",
    NamesInSet: r"Owner\.animals is a list, whose order a set would lose",
    Unsaid: r"the hybrid Owner\.unsaid gives no SQL on the class",
    Constant: r"the hybrid Owner\.constant gives no SQL on the class",
    Method: r"Owner\.method is no mapped attribute",
    OfNothing: r"Owner\.of_nothing is no mapped attribute",
    Deep: r"Deep\.names: Animal\.name is no relationship of Animal",
    Foreign: r"Owner\.odd is no attribute of Animal",
    Proxied: r"Proxied\.names is str, but Owner\.animals is a collection: write names: tuple",
    Unclear: r"SameCard and AnimalCard could both be for Animal; let their fields differ",
    Unknown: r"Tagged is for 'fish', which no class has",
    Scattered: r"NothingCard has fields that no single class below Animal has",
    Broken: r"Unreadable cannot be read: its annotation names 'Missing'",
    OddText: r"odd is str, but Owner\.odd holds int",
}


@pytest.mark.parametrize("cls", list(PROBLEMS), ids=lambda cls: cls.__name__)
def test_a_rare_definition_that_does_not_fit(cls: Any) -> None:
    """Each has its own sentence."""
    with pytest.raises(ViewDefinitionError, match=PROBLEMS[cls]):
        view_plan(cls, Owner)
