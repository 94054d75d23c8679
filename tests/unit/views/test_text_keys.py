"""Keys of text go to SQLite as JSON, which cannot hold all that a text can."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from sqlalchemy import Engine, ForeignKey, ForeignKeyConstraint, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from sqla_safe import fetch, stream_views
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


@pytest.fixture
def engine() -> Iterator[Engine]:
    """Give a database with a row for each text, and one below it."""
    with in_memory(Base) as engine, Session(engine) as session:
        for number, text in enumerate(TEXTS):
            session.add(Word(key=text, uses=[Use(id=number)]))
            session.add(Pair(one=text, other=1, halves=[Half(id=number)]))
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
