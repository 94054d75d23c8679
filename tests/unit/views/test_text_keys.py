"""Keys of text go to SQLite as JSON, which cannot hold all that a text can."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import (
    Engine,
    ForeignKey,
    ForeignKeyConstraint,
    String,
    TypeDecorator,
    func,
    select,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from sqla_safe import fetch, stream_views, view_plan
from tests.engines import in_memory

TEXTS = ("a", "a\0b", "\0", "", r"\u0000", "é\u2028\U0001f600", '"[1]"')


class Base(DeclarativeBase):
    pass


class Word(Base):
    __tablename__ = "words"
    key: Mapped[str] = mapped_column(primary_key=True)
    uses: Mapped[list[Use]] = relationship(order_by="Use.id")


class Use(Base):
    __tablename__ = "uses"
    id: Mapped[int] = mapped_column(primary_key=True)
    word_key: Mapped[str] = mapped_column(ForeignKey(Word.key))


class Pair(Base):
    __tablename__ = "pairs"
    one: Mapped[str] = mapped_column(primary_key=True)
    other: Mapped[int] = mapped_column(primary_key=True)
    halves: Mapped[list[Half]] = relationship()


class Half(Base):
    __tablename__ = "halves"
    id: Mapped[int] = mapped_column(primary_key=True)
    one: Mapped[str]
    other: Mapped[int]
    __table_args__ = (ForeignKeyConstraint(["one", "other"], ["pairs.one", "pairs.other"]),)


class Encoded(TypeDecorator[str]):
    """Sends bytes, where its type promises text."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> Any:
        return None if value is None else value.encode()

    def process_result_value(self, value: Any, dialect: Any) -> str | None:
        return None if value is None else value.decode()


class Upper(TypeDecorator[str]):
    """Stores in capitals, which the database makes."""

    impl = String(9)
    cache_ok = True

    def bind_expression(self, bindparam: Any) -> Any:
        return func.upper(bindparam, type_=self)

    def process_result_value(self, value: Any, dialect: Any) -> str | None:
        return None if value is None else value.lower()


class Sack(Base):
    __tablename__ = "sacks"
    key: Mapped[str] = mapped_column(Encoded, primary_key=True)
    label: Mapped[str] = mapped_column(Upper, primary_key=True)
    things: Mapped[list[Thing]] = relationship()
    encoded: Mapped[list[ByEncoded]] = relationship()
    upper: Mapped[list[ByUpper]] = relationship()


class Thing(Base):
    __tablename__ = "things"
    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(Encoded)
    label: Mapped[str] = mapped_column(Upper)
    __table_args__ = (ForeignKeyConstraint(["key", "label"], ["sacks.key", "sacks.label"]),)


class ByEncoded(Base):
    __tablename__ = "by_encoded"
    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(Encoded, ForeignKey(Sack.key))


class ByUpper(Base):
    __tablename__ = "by_upper"
    id: Mapped[int] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(Upper, ForeignKey(Sack.label))


@pytest.fixture
def engine() -> Iterator[Engine]:
    """Give a database with a row for each text, and one below it."""
    with in_memory(Base) as engine, Session(engine) as session:
        for number, text in enumerate(TEXTS):
            session.add(Word(key=text, uses=[Use(id=number)]))
            session.add(Pair(one=text, other=1, halves=[Half(id=number)]))
        sack = Sack(key="k", label="low", things=[Thing(id=1)])
        sack.encoded, sack.upper = [ByEncoded(id=2)], [ByUpper(id=3)]
        session.add(sack)
        session.commit()
        yield engine


@dataclass(frozen=True)
class Numbered:
    id: int


@dataclass(frozen=True)
class WordCard:
    key: str
    uses: tuple[Numbered, ...]


@dataclass(frozen=True)
class PairCard:
    one: str
    halves: tuple[Numbered, ...]


EXPECTED = {text: (Numbered(number),) for number, text in enumerate(TEXTS)}


def test_every_text_finds_its_rows(session: Session) -> None:
    """A NUL in a key ends no key, nor finds the rows of the part before it."""
    for _ in range(3):
        found = {card.key: card.uses for card in fetch(session, WordCard, select(Word))}
        assert found == EXPECTED


def test_every_pair_finds_its_rows(session: Session) -> None:
    """The same with a key of two columns."""
    assert {one.one: one.halves for one in fetch(session, PairCard, select(Pair))} == EXPECTED


def test_every_text_of_a_stream_finds_its_rows(session: Session) -> None:
    """Whether its batch has a NUL or not."""
    batches = stream_views(session, WordCard, select(Word), batch_size=2)
    assert {card.key: card.uses for batch in batches for card in batch} == EXPECTED


def test_such_a_key_takes_no_further_statement(session: Session, sent: list[str]) -> None:
    """There are two, whatever the keys are."""
    fetch(session, WordCard, select(Word))
    assert len(sent) == 2


@dataclass(frozen=True)
class SackCard:
    key: str
    label: str
    things: tuple[Numbered, ...]
    encoded: tuple[Numbered, ...]
    upper: tuple[Numbered, ...]


def test_keys_are_sent_as_their_types_want(session: Session) -> None:
    """In Python or in SQL, alone or together, a type may make of a key whatever it likes."""
    expected = SackCard("k", "low", (Numbered(1),), (Numbered(2),), (Numbered(3),))
    assert fetch(session, SackCard, select(Sack)) == [expected]


def test_what_a_type_makes_in_sql_is_made_of_each_key() -> None:
    """On PostgreSQL it is no array, whose values nothing would be made of."""
    _, *levels = view_plan(SackCard, Sack).statements()
    assert [bool(re.search(r"unnest\(|ANY \(", level)) for level in levels] == [False, True, False]
