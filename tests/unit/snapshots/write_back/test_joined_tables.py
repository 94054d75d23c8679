"""`write_back` of classes with several tables, or with a table of several classes."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session

from sqla_safe import (
    StaleSnapshotError,
    replace,
    snapshot,
    write_back,
)
from tests.unit.snapshots.models.joins import Chief, Guard, NightGuard
from tests.unit.snapshots.models.versions import Book
from tests.unit.snapshots.support import sent
from tests.unit.snapshots.write_back.support import row

# --- joined inheritance -----------------------------------------------------------------------


def test_a_column_of_the_base_table_is_stored(library, book):
    """With the version, which is there too."""
    with sent() as statements:
        write_back(library, replace(book, name="new"), base=book)
    library.commit()
    assert len(statements) == 1
    assert (row(library, Book).name, row(library, Book).version) == ("new", 2)


def test_a_column_of_the_subclass_table_is_stored(library, book):
    """The version in the base table moves with it."""
    write_back(library, replace(book, pages=20), base=book)
    library.commit()
    assert (row(library, Book).pages, row(library, Book).version) == (20, 2)


def test_columns_of_both_tables_are_stored(library, book):
    """One UPDATE for each."""
    with sent() as statements:
        write_back(library, replace(book, name="new", pages=20), base=book)
    library.commit()
    assert [statement.split()[1] for statement in statements] == ["item", "book"]
    assert (row(library, Book).name, row(library, Book).pages) == ("new", 20)


def test_a_stale_subclass_row_is_noticed(library, book):
    """Although its own table has no version."""
    with Session(library.get_bind()) as other, other.begin():
        other.get_one(Book, 1).name = "theirs"
    with pytest.raises(StaleSnapshotError):
        write_back(library, replace(book, pages=20), base=book)
    library.commit()
    assert row(library, Book).pages == 10


# --- inheritance ------------------------------------------------------------------------------


RENAMED = {
    "single-table": (Chief(id=1), {"budget": 9}),
    "joined": (Guard(id=1), {"post": "door"}),
    "below joined": (NightGuard(id=1), {"lamp": "oil"}),
    "two levels": (NightGuard(id=1), {"lamp": "oil", "post": "door"}),
}


@pytest.mark.parametrize(("made", "changes"), RENAMED.values(), ids=list(RENAMED))
def test_a_subclass_column_with_another_name_is_stored(store, made, changes):
    """Whatever table it is in."""
    entity = type(made)
    session = store(entity(id=1))
    base = snapshot(session.get_one(entity, 1))
    write_back(session, replace(base, **changes), base=base)
    session.commit()
    stored = row(session, entity)
    assert {name: getattr(stored, name) for name in changes} == changes


def test_a_row_of_which_a_part_is_gone_is_partly_written(library, book):
    """The first UPDATE stands in the transaction, and the error says so."""
    library.connection().exec_driver_sql("DELETE FROM book")
    with pytest.raises(StaleSnapshotError, match="roll the transaction back") as caught:
        write_back(library, replace(book, name="new", pages=20), base=book)
    assert caught.value.partly


def test_a_stale_row_is_not_partly_written(library, book):
    """The first UPDATE finds nothing."""
    library.connection().exec_driver_sql("UPDATE item SET version = 5")
    with pytest.raises(StaleSnapshotError, match="Nothing was written") as caught:
        write_back(library, replace(book, name="new", pages=20), base=book)
    assert not caught.value.partly
