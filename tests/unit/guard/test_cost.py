"""What the guard costs a small SELECT, in calls of Python functions."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker
from sqlalchemy.pool import StaticPool

from sqla_safe import configure
from tests.calls import python_calls


class Base(DeclarativeBase):
    pass


class Thing(Base):
    __tablename__ = "thing"

    id: Mapped[int] = mapped_column(primary_key=True)


AGAIN = select(Thing).where(Thing.id == 1)


def new_statement(maker: Any) -> None:
    """Select with a statement made for it."""
    with maker() as session:
        session.scalars(select(Thing).where(Thing.id == 1)).all()


def same_statement(maker: Any) -> None:
    """Select with the statement of the time before."""
    with maker() as session:
        session.scalars(AGAIN).all()


def by_key(maker: Any) -> None:
    """Select by primary key."""
    with maker() as session:
        session.get(Thing, 1)


def calls(program: Any, maker: Any) -> int:
    """Count the Python functions that a program calls, once everything is warm."""
    for _ in range(3):
        program(maker)
    return len(python_calls(lambda: program(maker)))


@pytest.mark.parametrize(
    ("program", "most"), [(new_statement, 27), (same_statement, 20), (by_key, 31)]
)
def test_a_select_costs_few_calls(program, most):
    """The session's opening and close, one look at the stack, and one option; see benchmarks/."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    bare, guarded, off = sessionmaker(engine), sessionmaker(engine), sessionmaker(engine)
    configure(guarded, guard="raise")
    configure(off, guard="off")
    assert calls(program, off) == calls(program, bare)
    assert 0 < calls(program, guarded) - calls(program, bare) <= most
    engine.dispose()
