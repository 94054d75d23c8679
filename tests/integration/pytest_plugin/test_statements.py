"""`assert_statements` counts what a block runs, and nothing else."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine, insert, select, text
from sqlalchemy.ext.asyncio import create_async_engine

from sqla_safe import StatementCountError, scoped_services
from sqla_safe.ext.pytest import assert_statements, rolled_back
from tests.integration.scopes.models import Author, Note, Notes, SyncNotes


def test_the_right_number_passes(sync_sessions) -> None:
    """Exactly so many, or at most so many."""
    with assert_statements(1), scoped_services(sync_sessions, SyncNotes) as notes:
        notes.add("a")
    with assert_statements(at_most=2) as statements, scoped_services(sync_sessions, SyncNotes) as n:
        n.add("b")
    assert len(statements) == 1


async def test_async_statements_are_counted(sessions) -> None:
    """Those of an `async_sessionmaker` too, with the line of user code."""
    expected = r"models\.py:\d+: INSERT INTO note"
    with pytest.raises(StatementCountError, match=expected), assert_statements(2):
        async with scoped_services(sessions, Notes) as notes:
            await notes.add("a")


def test_a_lazy_load_per_row_is_found(sync_sessions) -> None:
    """The statements are listed, without their parameters."""
    with scoped_services(sync_sessions) as scope:
        scope.session.add_all([Author(name=n, notes=[Note(text=f"secret {n}")]) for n in "ab"])
    with (
        pytest.raises(StatementCountError, match="Expected exactly 1 statement, and 3") as raised,
        assert_statements(1),
        scoped_services(sync_sessions) as scope,
    ):
        for author in scope.session.scalars(select(Author)):
            assert author.notes
    assert len(raised.value.statements) == 3
    assert "secret" not in str(raised.value)


def test_transactions_and_savepoints_are_not_counted(sync_sessions) -> None:
    """A test in a rolled-back transaction counts the same as one without."""
    with (
        rolled_back(sync_sessions),
        assert_statements(1),
        scoped_services(sync_sessions, SyncNotes) as notes,
    ):
        notes.add("a")


def test_many_rows_in_one_statement_are_one(sync_engine, sync_sessions) -> None:
    """`executemany` counts once."""
    with assert_statements(1), sync_engine.begin() as connection:
        connection.execute(insert(Author), [{"name": "a"}, {"name": "b"}])


def test_other_engines_can_be_left_out() -> None:
    """`on` names the engine that counts, sync or async."""
    ours, other = create_engine("sqlite://"), create_engine("sqlite://")
    with assert_statements(0, on=ours), other.connect() as connection:
        connection.execute(text("SELECT 1"))
    with assert_statements(0, on=create_async_engine("sqlite+aiosqlite://")):
        pass


def test_an_error_of_the_block_wins() -> None:
    """What went wrong first is what the test shows."""
    with pytest.raises(ZeroDivisionError), assert_statements(5):
        raise ZeroDivisionError


def test_long_statements_are_cut() -> None:
    """The text stays readable."""
    with (
        pytest.raises(StatementCountError, match=r"SELECT 1 [^\n]{190,195}\.\.\.\n"),
        assert_statements(0),
        create_engine("sqlite://").connect() as connection,
    ):
        connection.execute(text("SELECT 1 " + "+ 1 " * 100))


@pytest.mark.parametrize("arguments", [{}, {"at_most": 1, "expected": 1}])
def test_it_needs_one_number(arguments: dict[str, int]) -> None:
    """Neither none nor two."""
    exact = [arguments.pop("expected")] if "expected" in arguments else []
    with pytest.raises(TypeError, match="at_most=2"), assert_statements(*exact, **arguments):
        pass
