"""`write_back` of a row that somebody else was quicker to change, and versions."""

from __future__ import annotations

import pytest
from sqlalchemy import event, select
from sqlalchemy.orm import Session, defer, with_loader_criteria
from sqlalchemy.orm.exc import StaleDataError

from sqla_safe import (
    NotLoadedError,
    SqlaSafeError,
    StaleSnapshotError,
    WriteBackError,
    replace,
    snapshot,
    write_back,
)
from tests.unit.snapshots.models.eager import Counted
from tests.unit.snapshots.models.versions import Link, Page, Stamped, Token
from tests.unit.snapshots.support import sent
from tests.unit.snapshots.write_back.support import overtake, row

CANARY = "canary-4711"


# --- stale ------------------------------------------------------------------------------------


def test_a_row_that_was_changed_is_stale(session, page):
    """Somebody else was quicker."""
    overtake(session, title="theirs")
    with pytest.raises(StaleSnapshotError, match=r"Page \(id=1\)"):
        write_back(session, replace(page, title="ours"), base=page)


def test_a_stale_write_changes_nothing(session, page):
    """Theirs stays."""
    overtake(session, title="theirs")
    with pytest.raises(StaleSnapshotError):
        write_back(session, replace(page, title="ours"), base=page)
    session.commit()
    assert row(session, Page).title == "theirs"


def test_a_row_changed_in_another_column_is_stale(session, page):
    """The version speaks for the whole row."""
    overtake(session, body="theirs")
    with pytest.raises(StaleSnapshotError):
        write_back(session, replace(page, title="ours"), base=page)


def test_a_row_that_was_deleted_is_stale(session, page):
    """There is nothing to update."""
    with Session(session.get_bind()) as other, other.begin():
        for link in other.scalars(select(Link)):
            other.delete(link)
        other.delete(other.get_one(Page, 1))
    with pytest.raises(StaleSnapshotError):
        write_back(session, replace(page, title="ours"), base=page)


def test_a_deleted_row_without_a_version_is_stale(session):
    """Nobody was there to win."""
    with Session(session.get_bind()) as reader:
        link = snapshot(reader.get_one(Link, 1))
    with Session(session.get_bind()) as other, other.begin():
        other.delete(other.get_one(Link, 1))
    with pytest.raises(StaleSnapshotError):
        write_back(session, replace(link, url="ours"), base=link)


def test_a_stale_write_holds_both_states(session, page):
    """For the answer to the user."""
    overtake(session, title="theirs")
    changed = replace(page, title="ours")
    with pytest.raises(StaleSnapshotError) as caught:
        write_back(session, changed, base=page)
    assert caught.value.base is page
    assert caught.value.changed is changed


def test_a_stale_write_is_sqlalchemy_s_stale_data(session, page):
    """Existing handlers catch it."""
    overtake(session, title="theirs")
    with pytest.raises(StaleDataError):
        write_back(session, replace(page, title="ours"), base=page)


def test_a_stale_write_names_no_value(session, page):
    """Texts end up in logs."""
    overtake(session, title=CANARY)
    with pytest.raises(StaleSnapshotError) as caught:
        write_back(session, replace(page, title=f"{CANARY} ours"), base=page)
    assert CANARY not in str(caught.value)
    assert CANARY not in repr(caught.value)


def test_two_writes_from_one_base_are_one_too_many(session, page):
    """The second is stale."""
    write_back(session, replace(page, title="one"), base=page)
    with pytest.raises(StaleSnapshotError):
        write_back(session, replace(page, title="two"), base=page)


def test_the_version_is_never_taken_from_the_payload(session, page):
    """A version of the user's own making is refused."""
    with pytest.raises(WriteBackError, match="version"):
        write_back(session, replace(page, title="ours", version=7), base=page)


def test_a_version_in_the_payload_cannot_unlock_a_stale_row(session, page):
    """Not even the right one."""
    overtake(session, title="theirs")
    with pytest.raises(WriteBackError, match="version"):
        write_back(session, replace(page, title="ours", version=2), base=page)
    assert row(session, Page).title == "theirs"


def test_a_base_without_its_version_is_refused(session):
    """Without it nothing could be compared."""
    with Session(session.get_bind()) as reader:
        base = snapshot(reader.scalars(select(Page).options(defer(Page.version))).one())
    with pytest.raises(NotLoadedError, match=r"Page\.version"):
        _ = base.version
    with sent() as statements, pytest.raises(SqlaSafeError, match=r"version"):
        write_back(session, replace(base, title="new"), base=base)
    assert statements == []


# --- versions of other kinds ------------------------------------------------------------------


def test_a_version_generator_of_the_user_s_own_is_used(store):
    """A text, for example."""
    session = store(Token(id=1, name="old"))
    base = snapshot(session.get_one(Token, 1))
    stored = write_back(session, replace(base, name="new"), base=base)
    session.commit()
    assert stored.version != base.version
    assert row(session, Token).version == stored.version


def test_a_server_side_onupdate_column_is_left_alone(store):
    """The database sets it; a loaded entity reads it again."""
    session = store(Stamped(id=1, name="a"))
    live = session.get_one(Stamped, 1)
    base = snapshot(live)
    write_back(session, replace(base, name="b"), base=base)
    assert live.name == "b"
    assert row(session, Stamped).changes == 7


# --- versions that the database makes ---------------------------------------------------------


def test_a_version_of_the_database_is_asked_for(store):
    """And another one is stale."""
    session = store(Counted(id=1, name="old"))
    base = snapshot(session.get_one(Counted, 1))
    write_back(session, replace(base, name="new"), base=base)
    session.commit()
    assert row(session, Counted).version == 2
    with pytest.raises(StaleSnapshotError):
        write_back(session, replace(base, name="other"), base=base)


def test_a_version_of_the_database_is_not_captured_afterwards(store):
    """Nobody knows it without a SELECT."""
    session = store(Counted(id=1, name="old"))
    base = snapshot(session.get_one(Counted, 1))
    stored = write_back(session, replace(base, name="new"), base=base)
    with pytest.raises(NotLoadedError, match=r"Counted\.version"):
        _ = stored.version


def test_criteria_of_the_session_hold_for_the_update(session, page):
    """A row of another tenant is not there."""

    def nobody(state):
        state.statement = state.statement.options(with_loader_criteria(Page, Page.title == "none"))

    event.listen(session, "do_orm_execute", nobody)
    with pytest.raises(StaleSnapshotError):
        write_back(session, replace(page, title="ours"), base=page)
