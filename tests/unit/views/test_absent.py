"""A path through a to-one that leads nowhere gives None, whatever the column makes of NULL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, make_dataclass
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, BeforeValidator
from sqlalchemy import (
    Engine,
    ForeignKey,
    String,
    TypeDecorator,
    create_engine,
    delete,
    event,
    func,
    select,
)
from sqlalchemy.ext.associationproxy import AssociationProxy, association_proxy
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    column_property,
    composite,
    mapped_column,
    relationship,
    with_loader_criteria,
)
from sqlalchemy.pool import StaticPool
from sqlalchemy.types import UserDefinedType

from sqla_safe import Path, ViewDataError, fetch, stream_views, view_plan


class Base(DeclarativeBase):
    pass


class Never(TypeDecorator[str]):
    """Makes a word of NULL."""

    impl = String(30)
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Any) -> str:
        return value or "nothing"


class Upper(TypeDecorator[str]):
    """Knows of no NULL."""

    impl = String(30)
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Any) -> str:
        upper: str = value.upper()
        return upper


class InSql(UserDefinedType[str]):
    """Makes a word of NULL in the database."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "VARCHAR(30)"

    def column_expression(self, colexpr: Any) -> Any:
        return func.coalesce(colexpr, "nothing", type_=self)


@dataclass(frozen=True)
class Pair:
    first: str
    second: str


class Land(Base):
    __tablename__ = "lands"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Country(Base):
    __tablename__ = "countries"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Never)


class City(Base):
    __tablename__ = "cities"
    id: Mapped[int] = mapped_column(primary_key=True)
    plain: Mapped[str] = mapped_column(default="plain")
    never: Mapped[str] = mapped_column(Never)
    upper: Mapped[str] = mapped_column(Upper)
    in_sql: Mapped[str] = mapped_column(InSql)
    variant: Mapped[str] = mapped_column(String(30).with_variant(Never(), "sqlite"))
    country_id: Mapped[int | None] = mapped_column(ForeignKey(Country.id))
    country: Mapped[Country | None] = relationship()
    land_id: Mapped[int] = mapped_column(ForeignKey(Land.id))
    land: Mapped[Land] = relationship()
    pair: Mapped[Pair] = composite("never", "upper")
    known: Mapped[str] = column_property(func.coalesce(plain, "nothing"))

    @hybrid_property
    def either(self) -> str:
        return self.plain or "nothing"

    @either.inplace.expression
    @classmethod
    def _either(cls) -> Any:
        return func.coalesce(cls.plain, "nothing")

    @hybrid_property
    def known_countries(self) -> int:
        return 1

    @known_countries.inplace.expression
    @classmethod
    def _known_countries(cls) -> Any:
        return select(func.count(Country.id))


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    word: Mapped[str] = mapped_column(Never)
    city_id: Mapped[int | None] = mapped_column(ForeignKey(City.id))
    home_id: Mapped[int] = mapped_column(ForeignKey(City.id))
    boss_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    city: Mapped[City | None] = relationship(foreign_keys=city_id)
    home: Mapped[City] = relationship(foreign_keys=home_id)
    boss: Mapped[User | None] = relationship(remote_side="User.id", back_populates="staff")
    staff: Mapped[list[User]] = relationship(back_populates="boss", order_by="User.id")
    city_word: AssociationProxy[str | None] = association_proxy("city", "never")
    staff_words: AssociationProxy[list[str | None]] = association_proxy("staff", "city_word")
    home_word: AssociationProxy[str] = association_proxy("home", "plain")
    staff_homes: AssociationProxy[list[str]] = association_proxy("staff", "home_word")


ALL = select(User).order_by(User.id)


def made_city(number: int, country: Country | None) -> City:
    """Return a city."""
    words = {name: f"{name}{number}" for name in ("never", "upper", "in_sql", "variant")}
    return City(id=number, country=country, land_id=1, **words)


@pytest.fixture
def engine() -> Iterator[Engine]:
    """Give a database: one user has no city, one a city without a country, one has both."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Land(id=1, name="Earth"))
        here, there = made_city(1, None), made_city(2, Country(id=1, name="Utopia"))
        first = User(id=1, word="a", home=there)
        session.add_all([first, User(id=2, word="b", city=here, home=here, boss=first)])
        session.add(User(id=3, word="c", city=there, home=there, boss=first))
        session.commit()
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """Give a session on it."""
    with Session(engine) as session:
        yield session


@dataclass(frozen=True)
class Card:
    plain: Annotated[str | None, Path(User.city, City.plain)]
    never: Annotated[str | None, Path(User.city, City.never)]
    upper: Annotated[str | None, Path(User.city, City.upper)]
    in_sql: Annotated[str | None, Path(User.city, City.in_sql)]
    variant: Annotated[str | None, Path(User.city, City.variant)]
    pair: Annotated[Pair | None, Path(User.city, City.pair)]
    known: Annotated[str | None, Path(User.city, City.known)]
    either: Annotated[str | None, Path(User.city, City.either)]
    known_countries: Annotated[int | None, Path(User.city, City.known_countries)]
    country: Annotated[str | None, Path(User.city, City.country, Country.name)]


def shown(user: User) -> Card:
    """The same as `Card`, from an entity."""
    city, country = user.city, user.city.country if user.city else None
    names = [name for name in Card.__dataclass_fields__ if name != "country"]
    found = {name: getattr(city, name) if city else None for name in names}
    return Card(**found, country=country.name if country else None)


def test_a_path_is_what_the_entity_gives(session: Session) -> None:
    """Types that make something of NULL or know of none, expressions, composites, two steps."""
    found = fetch(session, Card, ALL)
    assert found == [shown(user) for user in session.scalars(ALL)]
    assert found[0] == Card(*[None] * 10)


@dataclass(frozen=True)
class Words:
    city: Annotated[str | None, Path(User.city, City.never)]
    boss: Annotated[str | None, Path(User.boss, User.word)]
    boss_city: Annotated[str | None, Path(User.boss, User.city, City.never)]
    city_word: str | None
    staff_words: tuple[str | None, ...]


WORDS = [
    Words(None, None, None, None, ("never1", "never2")),
    Words("never1", "a", None, "never1", ()),
    Words("never2", "a", None, "never2", ()),
]


def test_every_statement_knows_what_is_absent(session: Session) -> None:
    """Joined to the root, to a collection, under an alias, or asked for on its own."""
    assert fetch(session, Words, ALL) == WORDS
    assert fetch(session, Words, ALL.group_by(User.id)) == WORDS


def test_a_stream_knows_what_is_absent(session: Session) -> None:
    """SQLAlchemy has converted its values already."""
    batches = stream_views(session, Words, ALL, batch_size=2)
    assert [one for batch in batches for one in batch] == WORDS


def test_a_session_with_a_listener_knows_what_is_absent(session: Session) -> None:
    """There the class itself is not joined to itself."""
    event.listen(session, "do_orm_execute", lambda _: None)
    assert fetch(session, Words, ALL) == WORDS


@dataclass(frozen=True)
class Homes:
    home: Annotated[str | None, Path(User.home, City.never)]


def test_what_criteria_hide_is_absent(session: Session) -> None:
    """Also where a foreign key cannot be NULL."""
    assert [one.home for one in fetch(session, Homes, ALL)] == ["never2", "never1", "never2"]
    filtered = ALL.options(with_loader_criteria(City, City.id != 1))
    assert [one.home for one in fetch(session, Homes, filtered)] == ["never2", None, "never2"]


Home = tuple[Any, str, str]
SURE: dict[str, Home] = {
    "a column": (City.plain, "plain", "City.plain"),
    "a type": (City.never, "never2", "City.never"),
    "a column's expression": (City.in_sql, "in_sql2", "City.in_sql"),
    "a hybrid": (City.either, "plain", "City.either"),
}


@pytest.fixture(params=list(SURE))
def sure(request: pytest.FixtureRequest) -> Home:
    """Give a class with a field that is sure of its row, what it shows, and the field's path."""
    attribute, value, name = SURE[request.param]
    hint = Annotated[str, Path(User.home, attribute)]
    return make_dataclass("Sure", [("home", hint)], frozen=True), value, f"Path(User.home, {name})"


def lost(caught: pytest.ExceptionInfo[ViewDataError], path: str) -> bool:
    """Say whether an error has all that is needed to mend the class."""
    problem = f"Sure.home is str, but {path} led to no row that this session can see."
    return str(caught.value).startswith(f"{problem} Instead: home: str | None")


def test_what_criteria_hide_is_no_none(session: Session, sure: Home) -> None:
    """A field that does not allow None is never None, in whatever way its row is asked for."""
    into, value, path = sure
    found: list[Any] = fetch(session, into, ALL.where(User.id == 1))
    assert [one.home for one in found] == [value]
    hidden = ALL.options(with_loader_criteria(City, City.id != 1))
    for statement in (hidden, hidden.group_by(User.id)):
        with pytest.raises(ViewDataError) as caught:
            fetch(session, into, statement)
        assert lost(caught, path)
    with pytest.raises(ViewDataError) as caught:
        list(stream_views(session, into, hidden))
    assert lost(caught, path)


def test_a_key_that_leads_nowhere_is_no_none(session: Session, sure: Home) -> None:
    """SQLite does not see to foreign keys unless it is told to."""
    into, _, path = sure
    session.execute(delete(City).where(City.id == 1))
    for statement in (ALL, ALL.group_by(User.id)):
        with pytest.raises(ViewDataError) as caught:
            fetch(session, into, statement)
        assert lost(caught, path)


@dataclass(frozen=True)
class FarAway:
    land: Annotated[str, Path(User.home, City.land, Land.name)]


@dataclass(frozen=True)
class PairAtHome:
    pair: Annotated[Pair, Path(User.home, City.pair)]


@dataclass(frozen=True)
class StaffHomes:
    staff_homes: tuple[str, ...]


@pytest.mark.parametrize(
    ("into", "hides", "says"),
    [
        (FarAway, City, "FarAway.land is str, but Path(User.home, City.land, Land.name) led"),
        (FarAway, Land, "FarAway.land is str, but Path(User.home, City.land, Land.name) led"),
        (PairAtHome, City, "PairAtHome.pair is Pair, but Path(User.home, City.pair) led"),
        (StaffHomes, City, "StaffHomes.staff_homes holds str, but User.staff_homes led"),
    ],
)
def test_every_way_there_says_what_is_lost(
    session: Session, into: Any, hides: Any, says: str
) -> None:
    """A row in the middle or at the end, a composite, an element of a collection."""
    assert len(fetch(session, into, ALL)) == 3
    hidden = ALL.options(with_loader_criteria(hides, hides.id > 5))
    for statement in (hidden, hidden.group_by(User.id)):
        with pytest.raises(ViewDataError) as caught:
            fetch(session, into, statement)
        assert says in str(caught.value)


def test_what_may_be_none_is_none(session: Session) -> None:
    """Any, and a pydantic model's field that makes something of None by itself."""

    class Model(BaseModel):
        home: Annotated[str, BeforeValidator(str), Path(User.home, City.plain)]

    hidden = ALL.options(with_loader_criteria(City, City.id > 5))
    loose = make_dataclass("Loose", [("home", Annotated[Any, Path(User.home, City.plain)])])
    assert {one.home for one in fetch(session, loose, hidden)} == {None}
    assert {one.home for one in fetch(session, Model, hidden)} == {"None"}


@dataclass(frozen=True)
class Plain:
    city: Annotated[str | None, Path(User.city, City.plain)]


@pytest.mark.parametrize(("into", "is_asked"), [(Plain, False), (Homes, True), (Words, True)])
def test_only_what_needs_it_is_asked_for_its_key(into: Any, is_asked: bool) -> None:
    """A column that keeps NULL tells itself; no foreign key promises that a row is there."""
    root = view_plan(into, User).statements()[0]
    assert ("cities.id" in root.partition("FROM")[0]) is is_asked
