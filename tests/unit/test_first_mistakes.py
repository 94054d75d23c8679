"""What people write on their first day: the error says what it was, and the line to write."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from sqlalchemy import ForeignKey, create_engine, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    relationship,
    sessionmaker,
)

from sqla_safe import (
    Path,
    SqlaSafeError,
    asnapshot,
    dumps,
    loads,
    replace,
    scoped_services,
    snapshot,
    to_dict,
    transactional,
    view_plan,
    write_back,
)


class Base(DeclarativeBase):
    pass


class Reader(Base):
    __tablename__ = "readers"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    city_id: Mapped[int | None] = mapped_column(ForeignKey("cities.id"))

    loans: Mapped[list[Loan]] = relationship(back_populates="reader")
    city: Mapped[City | None] = relationship()


class Loan(Base):
    __tablename__ = "loans"

    id: Mapped[int] = mapped_column(primary_key=True)
    reader_id: Mapped[int] = mapped_column(ForeignKey(Reader.id))

    reader: Mapped[Reader] = relationship(back_populates="loans")


class City(Base):
    __tablename__ = "cities"

    id: Mapped[int] = mapped_column(primary_key=True)


class Readers:
    def __init__(self, session: Session) -> None:
        self.session = session

    async def get(self) -> Reader:
        raise AssertionError


@dataclass
class ReaderCard:
    name: str


@dataclass
class Prices:
    prices: Annotated[tuple[int, ...], Path("loans", "price")]  # type: ignore[arg-type]


@pytest.fixture
def session() -> Iterator[Session]:
    """A session on a database with Ann and her loan."""
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Reader(id=1, name="Ann", loans=[Loan(id=1)]))
        session.commit()
        yield session
    engine.dispose()


@pytest.fixture
def ann(session: Session) -> Reader:
    """A snapshot of Ann."""
    return snapshot(session.get_one(Reader, 1), Reader.loans, Reader.city)


def text_of(call: Any) -> str:
    """Return the text of the error that a call raises."""
    with pytest.raises(SqlaSafeError) as caught:
        call()
    return str(caught.value)


def test_a_logged_repr_says_what_the_error_says(session):
    """`%r` of an error, as loggers and asyncio write it, holds its text."""
    with pytest.raises(SqlaSafeError) as caught:
        snapshot(cast_any(None))
    assert repr(caught.value) == f"SnapshotSourceError({str(caught.value)!r})"


def cast_any(value: Any) -> Any:
    """Hide a type, as where nobody checks types."""
    return value


async def test_a_coroutine_is_no_entity():
    """Where the `await` of the service is missing, the error asks for it."""
    coroutine = Readers(cast_any(None)).get()
    with pytest.raises(SqlaSafeError, match=r"a coroutine\. Instead: await asnapshot\(await "):
        await asnapshot(cast_any(coroutine))
    coroutine.close()


def test_a_statement_is_no_entity(session):
    """A SELECT has not been executed: the error says by what it is."""
    text = text_of(lambda: snapshot(cast_any(select(Reader))))
    assert "a statement. Instead: snapshot(session.scalars(statement), ...)" in text


def test_several_snapshots_are_several_dicts(ann):
    """`to_dict` of a tuple of snapshots proposes the comprehension."""
    text = text_of(lambda: to_dict(cast_any((ann,))))
    assert "Instead: [to_dict(snapshot) for snapshot in snapshots]" in text


def test_the_data_of_another_class_is_called_so(ann):
    """`loads` with the wrong class says that what was dumped is of another class."""
    text = text_of(lambda: loads(Loan, dumps(ann)))
    assert text.startswith("This is no snapshot of Loan: it was made of another class")


def test_a_collection_is_written_back_by_its_members(session, ann):
    """The foreign key of a one-to-many is on the other side, and the error says so."""
    text = text_of(lambda: write_back(session, replace(ann, loans=()), base=ann))
    assert "Instead: change the foreign key Loan.reader_id" in text


def test_a_to_one_is_written_back_by_its_foreign_key(session, ann):
    """The foreign key of a many-to-one is an attribute of the snapshot itself."""
    oslo = City(id=1)
    session.add(oslo)
    session.flush()
    text = text_of(lambda: write_back(session, replace(ann, city=snapshot(oslo)), base=ann))
    assert "Instead: change the foreign key Reader.city_id" in text


def test_an_instance_is_no_service():
    """A service that was made already is called an instance of its class."""
    made = Readers(cast_any(None))

    def call() -> None:
        with scoped_services(sessionmaker(), cast_any(made)):
            pass

    assert "the service Readers: an instance of it was given" in text_of(call)


def test_services_in_a_list_are_taken_apart():
    """A list of services is to be given as arguments."""

    def call() -> None:
        with scoped_services(sessionmaker(), cast_any([Readers])):
            pass

    assert "Instead: scoped_services(Session, *services)" in text_of(call)


def test_the_bare_decorator_asks_for_its_sessionmaker():
    """`@transactional` without arguments says what belongs into them."""

    def work() -> None: ...

    text = text_of(lambda: transactional(cast_any(work)))
    assert "Instead: @transactional(Session, ...)" in text


def test_a_plan_is_of_an_entity_not_of_a_statement():
    """`view_plan` given the statement of `fetch` names the entity to give, without its SQL."""
    text = text_of(lambda: view_plan(ReaderCard, cast_any(select(Reader))))
    assert text.startswith("ReaderCard is no view of a statement: ")
    assert "view_plan(ReaderCard, Reader)" in text
    assert "SELECT" not in text


def test_a_path_of_texts_asks_for_attributes():
    """A text in a `Path` that names a relationship gets the attribute to write."""
    text = text_of(lambda: view_plan(Prices, Reader))
    assert "'loans' is a text; write Path(Reader.loans, ...)" in text


def test_a_callback_that_was_called_is_given_uncalled():
    """What a coroutine function gave is no callback: the error says to give the function."""

    async def mail() -> None: ...

    called = mail()
    with (
        scoped_services(sessionmaker()) as scope,
        pytest.raises(TypeError, match="on_commit\\(lambda: "),
    ):
        scope.on_commit(cast_any(called))
    called.close()


async def test_a_forgotten_await_is_named_by_the_method():
    """Python's warning of a session's method that nobody awaited names that method."""
    engine = create_async_engine("sqlite+aiosqlite://")
    async with scoped_services(async_sessionmaker(engine)) as scope:
        session: AsyncSession = scope.session
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            session.flush()  # type: ignore[unused-coroutine]  # noqa: RUF100
    await engine.dispose()
    assert "coroutine 'AsyncSession.flush' was never awaited" in str(caught[0].message)
