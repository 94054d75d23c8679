"""Where a view could easily say something else than its entity does."""

from __future__ import annotations

import enum
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import InitVar, dataclass
from typing import Annotated, Any, Generic, TypeVar

import pytest
from sqlalchemy import (
    JSON,
    Column,
    Enum,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    TypeDecorator,
    Uuid,
    desc,
    func,
    insert,
    join,
    select,
    text,
)
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    relationship,
)
from sqlalchemy.orm.collections import collection
from sqlalchemy.types import UserDefinedType

from sqla_safe import (
    Expr,
    Path,
    ViewDataError,
    ViewDefinitionError,
    fetch,
    stream_views,
    view_plan,
)
from tests.engines import in_memory


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


class Shifted(TypeDecorator[int]):
    """Its values look like those that other rows are stored with."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Any) -> int | None:
        return None if value is None else value - 1

    def process_result_value(self, value: int | None, dialect: Any) -> int | None:
        return None if value is None else value + 1


class Counted(TypeDecorator[int]):
    """Makes 0 of NULL."""

    impl = Integer
    cache_ok = True

    def process_result_value(self, value: int | None, dialect: Any) -> int:
        return value or 0


class Trimmed(TypeDecorator[str]):
    """Is selected through a function, which does not say that its values are of this type."""

    impl = String
    cache_ok = True

    def column_expression(self, column: Any) -> Any:
        return func.rtrim(column, type_=String())

    def process_result_value(self, value: str | None, dialect: Any) -> str:
        return f"<{value}>"


class Base(DeclarativeBase):
    pass


worn = Table(
    "worn",
    Base.metadata,
    Column("hat_id", ForeignKey("hats.id")),
    Column("owner_id", ForeignKey("owners.id")),
)


class Maker(Base):
    __tablename__ = "makers"
    id: Mapped[int] = mapped_column(Shifted, primary_key=True, autoincrement=False)
    name: Mapped[str]
    fame: Mapped[int] = mapped_column(Counted, default=7)


class Owner(Base):
    __tablename__ = "owners"
    id: Mapped[int] = mapped_column(primary_key=True)
    hats: Mapped[list[Hat]] = relationship(secondary=worn, order_by="Hat.id", viewonly=True)
    makers: Mapped[list[Maker]] = relationship(
        secondary=lambda: join(worn, Hat.__table__),
        primaryjoin="Owner.id == worn.c.owner_id",
        secondaryjoin="Hat.maker_id == Maker.id",
        order_by="Maker.id",
        viewonly=True,
    )
    card: Mapped[Card | None] = relationship(back_populates="owner", order_by="Card.id")
    valid: Mapped[Card | None] = relationship(
        primaryjoin="and_(Card.owner_id == Owner.id, Card.is_valid == 1)", viewonly=True
    )


class Card(Base):
    """Of those that are valid, an owner has one."""

    __tablename__ = "cards"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey(Owner.id))
    is_valid: Mapped[int]
    owner: Mapped[Owner] = relationship(back_populates="card")
    __table_args__ = (
        Index("one_valid", "owner_id", unique=True, sqlite_where=text("is_valid = 1")),
    )


class Hat(Base):
    __tablename__ = "hats"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Trimmed)
    maker_id: Mapped[int] = mapped_column(ForeignKey(Maker.id))
    maker: Mapped[Maker] = relationship()
    pins: Mapped[list[Pin]] = relationship(order_by="Pin.id")


class Pin(Base):
    __tablename__ = "pins"
    id: Mapped[int] = mapped_column(primary_key=True)
    hat_id: Mapped[int] = mapped_column(ForeignKey(Hat.id))
    maker_id: Mapped[int] = mapped_column(ForeignKey(Maker.id))
    maker: Mapped[Maker] = relationship()


@dataclass(frozen=True)
class Numbered:
    id: int


@dataclass(frozen=True)
class Named:
    id: int
    name: str


@pytest.fixture
def session() -> Iterator[Session]:
    """Give a session with two hats, whose makers are called in the other order."""
    with in_memory(Base) as engine, Session(engine) as session:
        session.add_all([Maker(id=1, name="Zoe"), Maker(id=2, name="Ann"), Maker(id=3, name="Max")])
        session.add_all([Owner(id=1), Owner(id=2)])
        session.flush()
        session.add_all([Hat(id=1, name="a", maker_id=1), Hat(id=2, name="b ", maker_id=2)])
        session.flush()
        session.add_all([Pin(id=1, hat_id=1, maker_id=2), Pin(id=2, hat_id=2, maker_id=3)])
        session.add_all([Card(id=1, owner_id=1, is_valid=0), Card(id=2, owner_id=1, is_valid=0)])
        session.add_all([Card(id=3, owner_id=1, is_valid=1), Card(id=4, owner_id=2, is_valid=1)])
        session.execute(insert(worn), [{"hat_id": hat, "owner_id": 1} for hat in (1, 1, 2)])
        session.commit()
        yield session


# --- the same row, met twice -------------------------------------------------


@dataclass(frozen=True)
class PinWithMaker:
    id: int
    maker: Named


@dataclass(frozen=True)
class HatWithMakers:
    id: int
    maker: Named
    pins: tuple[PinWithMaker, ...]


def makers(hats: Sequence[Any]) -> list[list[str]]:
    """Return who made each hat, then who made its pins."""
    return [[hat.maker.name, *(pin.maker.name for pin in hat.pins)] for hat in hats]


def test_a_stream_confuses_no_rows(session: Session) -> None:
    """What a batch's first statement gives is converted, and what those below it give is not."""
    hats = select(Hat).order_by(Hat.id)
    [streamed] = stream_views(session, HatWithMakers, hats)
    assert makers(streamed) == makers(session.scalars(hats).all())
    assert makers(streamed) == [["Zoe", "Ann"], ["Ann", "Max"]]


def test_a_batch_of_a_stream_has_one_object_for_a_row(session: Session) -> None:
    """Also where one statement gives the key as it is stored, and another one its value."""
    [[first, second]] = stream_views(session, HatWithMakers, select(Hat).order_by(Hat.id))
    assert first.pins[0].maker is second.maker


# --- one to one --------------------------------------------------------------


@dataclass(frozen=True)
class OwnerWithCard:
    id: int
    card: Numbered | None


def test_an_index_of_some_rows_makes_nothing_unique(session: Session) -> None:
    """Joining what it promises for others would give a row of the root twice."""
    owners = select(Owner).order_by(Owner.id)
    found = fetch(session, OwnerWithCard, owners)
    assert found == [OwnerWithCard(1, Numbered(1)), OwnerWithCard(2, Numbered(4))]


@dataclass(frozen=True)
class OwnerWithValid:
    id: int
    valid: Numbered | None


def test_a_relationship_with_an_index_for_its_condition(session: Session) -> None:
    """It is found, whether or not anybody sees that the condition is that of the index."""
    found = fetch(session, OwnerWithValid, select(Owner).order_by(Owner.id))
    assert found == [OwnerWithValid(1, Numbered(3)), OwnerWithValid(2, Numbered(4))]


# --- sorting by name ---------------------------------------------------------


@dataclass(frozen=True)
class HatOfMaker:
    id: int
    maker: Named


@pytest.mark.parametrize("name", ["name", desc("name")])
def test_a_name_to_sort_by_is_the_entitys(session: Session, name: Any) -> None:
    """A table that the view joins has a column of that name too."""
    hats = select(Hat).order_by(name)
    expected = [one.id for one in session.scalars(hats)]
    assert [one.id for one in fetch(session, HatOfMaker, hats)] == expected


# --- collections -------------------------------------------------------------


@dataclass(frozen=True)
class OwnerWithHats:
    id: int
    hats: tuple[Numbered, ...]
    makers: list[Numbered]


def test_a_collection_has_each_element_once(session: Session) -> None:
    """Two rows of a secondary table, or of a join in its place, lead to one entity."""
    owners = select(Owner).order_by(Owner.id)
    found = fetch(session, OwnerWithHats, owners)
    expected = [
        ([hat.id for hat in one.hats], [maker.id for maker in one.makers])
        for one in session.scalars(owners)
    ]
    assert [([h.id for h in one.hats], [m.id for m in one.makers]) for one in found] == expected
    assert expected == [([1, 2], [1, 2]), ([], [])]


# --- what is not there -------------------------------------------------------


@dataclass(frozen=True)
class HatWithFame:
    id: int
    fame: Annotated[int | None, Path(Hat.maker, Maker.fame)]


def test_a_key_that_leads_nowhere_gives_none(session: Session) -> None:
    """Not what the column's type makes of NULL, whatever the foreign key promises."""
    session.execute(text("UPDATE hats SET maker_id = 99 WHERE id = 2"))
    found = fetch(session, HatWithFame, select(Hat).order_by(Hat.id))
    assert found == [HatWithFame(1, 7), HatWithFame(2, None)]


@dataclass(frozen=True)
class Computed:
    id: int
    double: Annotated[int, Expr(lambda hat: hat.id * 2)]


@pytest.mark.parametrize("into", [Numbered, Computed])
def test_a_row_without_the_entity_is_an_error(session: Session, into: Any) -> None:
    """An outer join of the user's own gives rows that a list of entities would have None for."""
    hats = select(Hat).select_from(Maker).outerjoin(Hat).order_by(Maker.id)
    instead = re.escape(".where(Hat.id.is_not(None))")
    with pytest.raises(ViewDataError, match=f"{into.__name__} .*no Hat.*outer join.*{instead}"):
        fetch(session, into, hats)


# --- types -------------------------------------------------------------------


def test_what_a_type_selects_says_what_comes(session: Session) -> None:
    """SQLAlchemy converts by the type of the expression that a column is selected through."""
    hats = select(Hat).order_by(Hat.id)
    expected = [one.name for one in session.scalars(hats)]
    assert [one.name for one in fetch(session, Named, hats)] == expected == ["a", "b"]


class Other(DeclarativeBase):
    pass


class Box(Other):
    __tablename__ = "boxes"
    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    size: Mapped[Size] = mapped_column(Enum(Size), unique=True)
    number: Mapped[int] = mapped_column(Shifted, unique=True)
    by_text: Mapped[list[ByText]] = relationship(order_by="ByText.id")
    by_size: Mapped[list[BySize]] = relationship(
        primaryjoin="foreign(BySize.size) == Box.size", order_by="BySize.id"
    )
    by_number: Mapped[list[ByNumber]] = relationship(
        primaryjoin="foreign(ByNumber.number) == Box.number", order_by="ByNumber.id"
    )


class ByText(Other):
    __tablename__ = "by_text"
    id: Mapped[int] = mapped_column(primary_key=True)
    box_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), ForeignKey(Box.id))


class BySize(Other):
    __tablename__ = "by_size"
    id: Mapped[int] = mapped_column(primary_key=True)
    size: Mapped[str] = mapped_column(String(10))


class ByNumber(Other):
    __tablename__ = "by_number"
    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int]


@dataclass(frozen=True)
class BoxOfAll:
    id: uuid.UUID
    by_text: tuple[Numbered, ...]
    by_size: tuple[Numbered, ...]
    by_number: tuple[Numbered, ...]


def test_a_key_may_have_another_type_than_what_refers_to_it() -> None:
    """The database compares what is stored, which Python may know as unequal values."""
    key = uuid.uuid4()
    with in_memory(Other) as engine, Session(engine) as session:
        session.add(Box(id=key, size=Size.LARGE, number=6))
        session.add_all([ByText(box_id=str(key)), BySize(size="LARGE"), ByNumber(number=5)])
        session.add(ByNumber(number=6))
        session.commit()
        one = session.scalars(select(Box)).one()
        lists = [[each.id for each in many] for many in (one.by_text, one.by_size, one.by_number)]
        assert lists == [[1], [1], [1]]
        only = (Numbered(1),)
        assert fetch(session, BoxOfAll, select(Box)) == [BoxOfAll(key, only, only, only)]


# --- rare types, collections and classes --------------------------------------


class More(DeclarativeBase):
    pass


class Bag:
    """A collection that is a set by what it does."""

    __emulates__ = set

    def __init__(self) -> None:
        self.found: list[Any] = []

    @collection.appender
    def add(self, one: Any) -> None:
        """Take an entity."""
        self.found.append(one)

    @collection.remover
    def discard(self, one: Any) -> None:
        """Lose an entity."""
        self.found.remove(one)

    @collection.iterator
    def each(self) -> Iterator[Any]:
        """Give the entities."""
        return iter(self.found)


class Silent(UserDefinedType[Any]):
    """A type that does not say what its values are."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Return its name in DDL."""
        return "INTEGER"


class Page(More):
    __tablename__ = "pages"
    book: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    words: Mapped[Any] = mapped_column(JSON)
    mark: Mapped[int]
    lines: Mapped[list[Line]] = relationship(
        primaryjoin="or_(foreign(Line.mark) == Page.mark, Line.mark == 0)",
        order_by="Line.id",
        viewonly=True,
    )
    bag: Mapped[Any] = relationship(
        "Line", primaryjoin="foreign(Line.silent) == Page.mark", collection_class=Bag, viewonly=True
    )


class Line(More):
    __tablename__ = "page_lines"
    id: Mapped[int] = mapped_column(primary_key=True)
    mark: Mapped[int]
    silent: Mapped[Any] = mapped_column(Silent)


@pytest.fixture
def pages() -> Iterator[Session]:
    """Give a session with two pages, and three lines of which one is on each."""
    with in_memory(More) as engine, Session(engine) as session:
        session.add_all([Page(book=1, number=n, words=["a", n], mark=n) for n in (1, 2)])
        session.add_all([Line(id=n + 1, mark=n, silent=n) for n in (0, 1, 2)])
        session.commit()
        yield session


@dataclass(frozen=True)
class PageWithLines:
    number: int
    lines: tuple[Numbered, ...]


def test_what_one_of_two_conditions_joins(pages: Session) -> None:
    """An equation beside an OR is no key."""
    statement = select(Page).order_by(Page.number)
    expected = [[line.id for line in page.lines] for page in pages.scalars(statement)]
    found = fetch(pages, PageWithLines, statement)
    assert [[line.id for line in page.lines] for page in found] == expected == [[1, 2], [1, 3]]


@dataclass(frozen=True)
class PageWithBag:
    bag: frozenset[Numbered]


def test_what_behaves_as_a_set_becomes_one(pages: Session) -> None:
    """Its keys are of a type that says nothing of its values."""
    found = fetch(pages, PageWithBag, select(Page).order_by(Page.number))
    assert found == [PageWithBag(frozenset({Numbered(number)})) for number in (2, 3)]


@dataclass(frozen=True)
class PageWithWords:
    words: list[Any]


def test_json_is_whatever_the_field_says(pages: Session) -> None:
    """SQLAlchemy calls it a dict, which it need not be."""
    found = fetch(pages, PageWithWords, select(Page).order_by(Page.number))
    assert [one.words for one in found] == [["a", 1], ["a", 2]]


def test_a_row_without_an_entity_of_two_keys_is_an_error(pages: Session) -> None:
    """All parts of its key are NULL."""
    statement = select(Page).select_from(Line).outerjoin(Page, Page.number == Line.id)
    with pytest.raises(ViewDataError, match=re.escape(".where(Page.book.is_not(None))")):
        fetch(pages, PageWithWords, statement)


T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True)
class Of(Generic[T]):
    number: T


@dataclass(frozen=True)
class OfText(Of[str]):
    pass


@dataclass(frozen=True)
class Marked(OfText, Generic[U]):
    mark: U
    lines: tuple[Numbered, ...]


def test_a_base_of_a_base_keeps_its_arguments() -> None:
    """Also where the class has arguments of its own; other fields stay as they are."""
    with pytest.raises(ViewDefinitionError) as caught:
        view_plan(Marked[int], Page)
    [problem] = caught.value.problems
    assert problem.startswith("Marked.number is str, but Page.number holds int")


@dataclass
class Asks:
    number: int
    mark: InitVar[int]


def test_an_argument_that_nobody_keeps_is_not_kept(pages: Session) -> None:
    """``__init__`` takes it, and no attribute comes of it."""
    [one, _] = fetch(pages, Asks, select(Page).order_by(Page.number))
    assert vars(one) == {"number": 1}
