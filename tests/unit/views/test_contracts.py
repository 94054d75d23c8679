"""What SQLAlchemy does not document, and views rely on: it must hold on each supported version."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Column, Integer, Select, String, Text, bindparam, select
from sqlalchemy.engine.cursor import CursorFetchStrategy, CursorResultMetaData
from sqlalchemy.orm import Session, load_only, with_loader_criteria
from sqlalchemy.sql import visitors

from sqla_safe.views._nulls import keeps_null, variants_of
from sqla_safe.views._selects import (
    RAW_RESULT,
    is_grouped,
    is_locking,
    options_of,
    shape_of,
    sorted_distinct,
)
from tests.unit.views.models import Reversed, User


def test_the_options_of_a_select_can_be_read() -> None:
    """All of them, in their order."""
    options = (load_only(User.id), with_loader_criteria(User, User.id > 1))
    assert options_of(select(User)) == ()
    assert options_of(select(User).options(*options)) == options


def test_groups_and_locks_can_be_told() -> None:
    """Of a SELECT, and of no other one."""
    assert is_grouped(select(User).group_by(User.id))
    assert is_locking(select(User).with_for_update(read=True))
    assert not is_grouped(select(User).order_by(User.id))
    assert not is_locking(select(User))


def test_what_a_distinct_is_sorted_by_can_be_told() -> None:
    """Of a DISTINCT on all its columns, and of no other SELECT."""
    by_name = select(User).order_by(User.name)
    assert sorted_distinct(by_name) == ()
    [clause] = sorted_distinct(by_name.distinct())
    assert User.name.expression in set(visitors.iterate(clause))


def test_a_shape_tells_statements_apart_by_all_but_values() -> None:
    """Equal for other values, with a parameter for each; another one for any other SQL."""
    shape, binds = read_shape(select(User).where(User.id == 1, User.name == "a").limit(5))
    assert [bind.effective_value for bind in binds] == [1, "a", 5]
    same, others = read_shape(select(User).where(User.id == 2, User.name == "b").limit(6))
    assert (hash(same), same) == (hash(shape), shape)
    assert [bind.effective_value for bind in others] == [2, "b", 6]
    assert read_shape(select(User).where(User.id == 1, User.name == "a"))[0] != shape


def test_values_given_behind_a_statements_back_are_seen() -> None:
    """Where SQLAlchemy keeps them beside the parameters, there is no shape."""
    given = select(User).where(User.id == bindparam("number")).params(number=5)
    found = shape_of(given)
    assert found is None or [bind.effective_value for bind in found[1]] == [5]


def read_shape(statement: Select[Any]) -> tuple[Any, Any]:
    """Return a shape that there is."""
    found = shape_of(statement)
    assert found is not None
    return found


def test_parameters_are_given_by_their_keys(session: Session) -> None:
    """Those without a name of their own have one all the same."""
    statement = select(User.id).where(User.id == 1)
    _, [bind] = read_shape(statement)
    assert session.connection().execute(statement, {bind.key: 2}).all() == [(2,)]


def test_a_raw_result_costs_no_adapting(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a result makes a map of its columns for each statement that came before."""

    def adapt(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(CursorResultMetaData, "_adapt_to_context", adapt)
    connection = session.connection()
    for _ in range(2):
        connection.execute(select(User.id), execution_options=RAW_RESULT).all()
    with pytest.raises(AssertionError):
        connection.execute(select(User.id))


def test_rows_can_be_taken_from_the_drivers_cursor(session: Session) -> None:
    """Through a result of the connection, and of the ORM, while nothing has been fetched."""
    statement = select(User.id, User.name).where(User.id == 1)
    result = session.connection().execute(statement)
    assert type(result.cursor_strategy) is CursorFetchStrategy
    assert result.cursor is not None
    assert result.cursor.fetchall() == [(1, "Ann")]
    raw = session.execute(statement).raw  # type: ignore[attr-defined]
    assert type(raw.cursor_strategy) is CursorFetchStrategy
    assert raw.cursor.fetchall() == [(1, "Ann")]


def test_the_variants_of_a_type_can_be_seen() -> None:
    """And whether any of them can make something of NULL."""
    variants = String().with_variant(Text(), "oracle").with_variant(Reversed(), "sqlite")
    assert [type(one) for one in variants_of(variants)] == [Text, Reversed]
    assert variants_of(Integer()) == variants_of(Reversed()) == []
    kept = [keeps_null(Column(kind)) for kind in (String(), variants, Reversed())]
    assert kept == [True, False, False]
