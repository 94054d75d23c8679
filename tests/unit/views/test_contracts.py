"""What SQLAlchemy does not document, and views rely on: it must hold on each supported version."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.engine.cursor import CursorFetchStrategy
from sqlalchemy.orm import Session, load_only, with_loader_criteria

from sqla_safe.views._selects import is_grouped, is_locking, options_of
from tests.unit.views.models import User


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
