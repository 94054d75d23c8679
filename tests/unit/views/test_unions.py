"""Unions: subclasses are read with their base, in the statement of its rows."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from sqlalchemy import Enum, ForeignKey, Select, create_engine, delete, event, func, select
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    aliased,
    composite,
    mapped_column,
    relationship,
    synonym,
    with_loader_criteria,
)
from sqlalchemy.pool import StaticPool

from sqla_safe import Expr, Path, fetch, stream_views


class Base(DeclarativeBase):
    pass


@dataclass(frozen=True)
class Span:
    low: int
    high: int


class Zoo(Base):
    __tablename__ = "zoos"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    star_id: Mapped[int | None] = mapped_column(ForeignKey("animals.id"))
    animals: Mapped[list[Animal]] = relationship(
        back_populates="zoo", foreign_keys="Animal.zoo_id", order_by="Animal.id"
    )
    star: Mapped[Animal | None] = relationship(foreign_keys=star_id)


class Animal(Base):
    __tablename__ = "animals"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[str]
    zoo_id: Mapped[int | None] = mapped_column(ForeignKey(Zoo.id))
    zoo: Mapped[Zoo | None] = relationship(back_populates="animals", foreign_keys=zoo_id)
    visits: Mapped[list[Visit]] = relationship(order_by="Visit.id")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}  # noqa: RUF012


class Bird(Animal):
    __tablename__ = "birds"
    bird_id: Mapped[int] = mapped_column(ForeignKey(Animal.id), primary_key=True)
    wings: Mapped[int] = mapped_column("n_wings")
    home_id: Mapped[int | None] = mapped_column(ForeignKey(Zoo.id))
    home: Mapped[Zoo | None] = relationship(foreign_keys=home_id)
    feathers: Mapped[int] = synonym("wings")
    eggs: Mapped[list[Egg]] = relationship(order_by="Egg.id")
    __mapper_args__ = {"polymorphic_identity": "bird"}  # noqa: RUF012


class Owl(Bird):
    __tablename__ = "owls"
    owl_id: Mapped[int] = mapped_column(ForeignKey(Bird.bird_id), primary_key=True)
    low: Mapped[int]
    high: Mapped[int]
    hears: Mapped[Span] = composite("low", "high")
    __mapper_args__ = {"polymorphic_identity": "owl"}  # noqa: RUF012


class Fish(Animal):
    depth: Mapped[int | None]
    __mapper_args__ = {"polymorphic_identity": "fish"}  # noqa: RUF012


class Egg(Base):
    __tablename__ = "eggs"
    id: Mapped[int] = mapped_column(primary_key=True)
    bird_id: Mapped[int] = mapped_column(ForeignKey(Bird.bird_id))


class Visit(Base):
    __tablename__ = "visits"
    id: Mapped[int] = mapped_column(primary_key=True)
    animal_id: Mapped[int] = mapped_column(ForeignKey(Animal.id))


class Sort(enum.Enum):
    PLAIN = "p"
    ROUND = "r"


class Stone(Base):
    """Its discriminator is stored as something else than it is."""

    __tablename__ = "stones"
    id: Mapped[int] = mapped_column(primary_key=True)
    sort: Mapped[Sort] = mapped_column(Enum(Sort, values_callable=lambda _: ["p", "r"]))
    dots: Mapped[list[Dot]] = relationship(order_by="Dot.id")
    __mapper_args__ = {"polymorphic_on": sort, "polymorphic_identity": Sort.PLAIN}  # noqa: RUF012


class Pebble(Stone):
    size: Mapped[int | None]
    __mapper_args__ = {"polymorphic_identity": Sort.ROUND}  # noqa: RUF012


class Dot(Base):
    __tablename__ = "dots"
    id: Mapped[int] = mapped_column(primary_key=True)
    stone_id: Mapped[int] = mapped_column(ForeignKey(Stone.id))


@dataclass(frozen=True)
class Numbered:
    id: int


@dataclass(frozen=True)
class OwlCard:
    id: int
    name: str
    wings: int
    hears: Span
    eggs: tuple[Numbered, ...]


@dataclass(frozen=True)
class BirdCard:
    name: str
    many: Annotated[int, Path(Bird.feathers)]
    eggs: tuple[Numbered, ...]


@dataclass(frozen=True)
class FishCard:
    id: int
    depth: int | None
    visits: tuple[Numbered, ...]


@dataclass(frozen=True)
class AnimalCard:
    name: str


@dataclass(frozen=True)
class ZooCard:
    name: str
    animals: tuple[OwlCard | BirdCard | FishCard | AnimalCard, ...]


@dataclass(frozen=True)
class StarCard:
    name: str
    star: OwlCard | BirdCard | FishCard | AnimalCard | None


@dataclass(frozen=True)
class CountedBird:
    wings: int
    eggs: Annotated[
        int,
        Expr(
            lambda bird: (
                select(func.count(Egg.id)).where(Egg.bird_id == bird.bird_id).scalar_subquery()
            )
        ),
    ]


@dataclass(frozen=True)
class ZooName:
    name: str


@dataclass(frozen=True)
class HomeBird:
    wings: int
    home: ZooName | None


@dataclass(frozen=True)
class NamedHomeBird:
    wings: int
    home: Annotated[str | None, Path(Bird.home, Zoo.name)]


@dataclass(frozen=True)
class SaidBird:
    kind: Literal["bird"]


@dataclass(frozen=True)
class PebbleCard:
    size: int | None
    dots: tuple[Numbered, ...]


@dataclass(frozen=True)
class StoneCard:
    id: int


ANY: Any = OwlCard | BirdCard | FishCard | AnimalCard
OWL = OwlCard(2, "Hedwig", 2, Span(20, 90), (Numbered(2), Numbered(3)))
BIRD = BirdCard("Polly", 3, (Numbered(1),))
FISH = FishCard(3, 900, (Numbered(2),))
ALL = [BIRD, OWL, FISH, AnimalCard("Nessie")]


@pytest.fixture
def session() -> Iterator[Session]:
    """Give a session with an animal of each kind; two of them live in a zoo."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Zoo(id=1, name="Edinburgh"))
        session.flush()
        session.add(Bird(id=1, name="Polly", wings=3, zoo_id=1, eggs=[Egg(id=1)]))
        session.add(Owl(id=2, name="Hedwig", wings=2, low=20, high=90, eggs=[Egg(id=2), Egg(id=3)]))
        session.add(Fish(id=3, name="Wanda", depth=900, zoo_id=1, visits=[Visit(id=2)]))
        session.add(Animal(id=4, name="Nessie", visits=[Visit(id=1)]))
        session.flush()
        session.add(Zoo(id=2, name="Night", star_id=2))
        session.commit()
        yield session
    engine.dispose()


@pytest.fixture
def sent(session: Session) -> list[str]:
    """Give the statements that are sent from now on."""
    found: list[str] = []

    @event.listens_for(session.get_bind(), "before_cursor_execute")
    def note(*given: Any) -> None:
        found.append(given[2])

    return found


def test_the_rows_of_all_classes_are_read_at_once(session: Session, sent: list[str]) -> None:
    """Tables below tables, columns of one's own in a shared table, and what hangs on them."""
    assert fetch(session, ANY, select(Animal).order_by(Animal.id)) == ALL
    assert len(sent) == 4  # the animals, the eggs of owls, the eggs of birds, the visits of fish


def test_elements_of_a_collection_are_read_at_once(session: Session, sent: list[str]) -> None:
    """As the rows of the root are."""
    night = Zoo.id.desc()
    assert fetch(session, ZooCard, select(Zoo).order_by(night)) == [
        ZooCard("Night", ()),
        ZooCard("Edinburgh", (BIRD, FISH)),
    ]
    assert len(sent) == 4  # no owl was found, so that nobody asked for its eggs


def test_a_to_one_is_read_at_once(session: Session, sent: list[str]) -> None:
    """Joined, with the tables of its subclasses."""
    assert fetch(session, StarCard, select(Zoo).order_by(Zoo.id)) == [
        StarCard("Edinburgh", None),
        StarCard("Night", OWL),
    ]
    assert len(sent) == 2


OTHER = aliased(Bird, flat=True)
STATEMENTS: dict[str, Select[tuple[Animal]]] = {
    "joined": select(Animal).join(Animal.zoo).where(Zoo.name == "Edinburgh"),
    "joined to itself": select(Animal).join(OTHER, OTHER.bird_id == Animal.id),
    "from elsewhere": select(Animal).select_from(Zoo).join(Zoo.animals),
    "of a subclass": select(Animal).where(Animal.id.in_(select(Owl.owl_id))),
    "limited": select(Animal).limit(2).offset(1),
    "distinct": select(Animal).join(Visit).distinct(),
    "several times": select(Animal).join(Egg, Egg.id > 1),
    "other tables": select(Animal).where(Animal.id == Visit.animal_id),
    "grouped": select(Animal).join(Visit).group_by(Animal.id),
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_means_what_it_meant(session: Session, name: str) -> None:
    """Whatever it joins, limits or groups: the rows are those that the entities would have."""
    statement = STATEMENTS[name].order_by(Animal.id)
    named = {1: BIRD, 2: OWL, 3: FISH, 4: AnimalCard("Nessie")}
    expected = [named[one.id] for one in session.scalars(statement)]
    assert expected
    assert fetch(session, ANY, statement) == expected


def test_a_subclass_may_lead_to_one(session: Session) -> None:
    """From a column of its own table."""
    session.get_one(Bird, 1).home_id = 2
    session.commit()
    into: Any = HomeBird | AnimalCard
    assert fetch(session, into, select(Animal).order_by(Animal.id)) == [
        HomeBird(3, ZooName("Night")),
        HomeBird(2, None),
        AnimalCard("Wanda"),
        AnimalCard("Nessie"),
    ]
    into = NamedHomeBird | AnimalCard
    assert fetch(session, into, select(Animal).where(Animal.id < 3).order_by(Animal.id)) == [
        NamedHomeBird(3, "Night"),
        NamedHomeBird(2, None),
    ]


def test_what_one_class_says_it_is_for_is_no_other_ones(session: Session) -> None:
    """Whichever of the two comes first, and however far the other would reach."""
    names = {2: AnimalCard("Hedwig"), 3: AnimalCard("Wanda"), 4: AnimalCard("Nessie")}
    orders: list[Any] = [SaidBird | AnimalCard, AnimalCard | SaidBird]
    for into in orders:
        found = fetch(session, into, select(Animal).order_by(Animal.id))
        assert found == [SaidBird("bird"), *names.values()]


def test_an_enum_may_choose(session: Session) -> None:
    """What is stored for it is no member; the rows below are asked for by class all the same."""
    session.add_all([Pebble(id=1, size=3, dots=[Dot(id=1)]), Stone(id=2, dots=[Dot(id=2)])])
    into: Any = PebbleCard | StoneCard
    found = [PebbleCard(3, (Numbered(1),)), StoneCard(2)]
    assert fetch(session, into, select(Stone).order_by(Stone.id)) == found
    assert list(stream_views(session, into, select(Stone).order_by(Stone.id))) == [found]


def test_nothing_is_joined_to_a_group(session: Session, sent: list[str]) -> None:
    """Other databases would want it in the GROUP BY."""
    fetch(session, ANY, STATEMENTS["grouped"])
    assert "birds" not in sent[0]


def test_an_alias_is_read_class_by_class(session: Session, sent: list[str]) -> None:
    """What it stands for need not have the columns of subclasses."""
    some = aliased(Animal, select(Animal).where(Animal.id < 3).subquery())
    assert fetch(session, ANY, select(some).order_by(some.id)) == [BIRD, OWL]
    assert len(sent) == 5


def test_criteria_of_a_subclass_hide_its_rows(session: Session) -> None:
    """They are about the subclass only, which is then selected itself."""
    kept = with_loader_criteria(Owl, Owl.low > 50)
    found = fetch(session, ANY, select(Animal).options(kept).order_by(Animal.id))
    assert found == [BIRD, FISH, AnimalCard("Nessie")]


def test_a_class_that_computes_is_read_by_itself(session: Session, sent: list[str]) -> None:
    """An Expr is given the subclass, whose rows are asked for by key; the others come along."""
    into: Any = CountedBird | FishCard | AnimalCard
    found = fetch(session, into, select(Animal).order_by(Animal.id))
    assert found == [
        CountedBird(3, 1),
        CountedBird(2, 2),
        FISH,
        AnimalCard("Nessie"),
    ]
    assert len(sent) == 3


def test_a_row_without_its_other_half_is_left_out(session: Session) -> None:
    """It is no row of the subclass, and the ORM would not find one either."""
    session.execute(delete(Owl.__table__))  # type: ignore[arg-type]
    found = fetch(session, ANY, select(Animal).order_by(Animal.id))
    assert found == [BIRD, FISH, AnimalCard("Nessie")]


def test_batches_are_chosen_from_too(session: Session) -> None:
    """Each batch has the rows that it would have of the entities."""
    batches = stream_views(session, ANY, select(Animal).order_by(Animal.id), batch_size=3)
    assert list(batches) == [ALL[:3], ALL[3:]]
