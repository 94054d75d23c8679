"""What `write_back` cannot store, and says so before anything is sent."""

from __future__ import annotations

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from sqla_safe import (
    WriteBackError,
    replace,
    scoped_services,
    snapshot,
    write_back,
)
from tests.unit.snapshots.models.computed import Account
from tests.unit.snapshots.models.versions import Link, Page
from tests.unit.snapshots.support import sent


def test_an_entity_is_no_snapshot(session, page):
    """Entities are flushed by their session."""
    with pytest.raises(WriteBackError, match="changed is no snapshot"):
        write_back(session, session.get_one(Page, 1), base=page)


def test_a_base_that_is_no_snapshot(session, page):
    """It says which of the two."""
    with pytest.raises(WriteBackError, match="base is no snapshot"):
        write_back(session, page, base=session.get_one(Page, 1))


def test_snapshots_of_two_rows_are_refused(session):
    """The key is not changed."""
    with Session(session.get_bind()) as reader:
        one, two = snapshot(reader.scalars(select(Link).order_by(Link.id)).all())
    with pytest.raises(WriteBackError, match="different rows"):
        write_back(session, two, base=one)


def test_a_changed_key_is_refused(session, page):
    """That would be another row."""
    with pytest.raises(WriteBackError, match="different rows"):
        write_back(session, replace(page, id=2), base=page)


def test_snapshots_of_two_classes_are_refused(session, page):
    """Although their keys are equal."""
    with Session(session.get_bind()) as reader:
        link = snapshot(reader.get_one(Link, 1))
    with pytest.raises(WriteBackError):
        write_back(session, link, base=page)


def test_a_changed_relationship_is_refused(session, page):
    """With the repair."""
    with pytest.raises(WriteBackError, match=r"Page\.links was changed, which is a relationship"):
        write_back(session, replace(page, links=page.links[:1]), base=page)


def test_a_changed_column_property_is_refused(store):
    """The database computes it."""
    session = store(Account(id=1, first="Mona", last="Lisa"))
    base = snapshot(session.get_one(Account, 1))
    with pytest.raises(WriteBackError, match="computed"):
        write_back(session, replace(base, full_name="other"), base=base)


def test_a_refused_change_writes_nothing(session, page):
    """Not the other columns either."""
    with sent() as statements, pytest.raises(WriteBackError):
        write_back(session, replace(page, title="new", links=()), base=page)
    assert statements == []


@pytest.mark.parametrize("give", ["engine", "none", "scope"])
def test_what_is_no_session_is_refused(session, page, give):
    """A scope is no session: it has one."""
    maker = sessionmaker(session.get_bind())
    with scoped_services(maker) as scope:
        given = {"engine": session.get_bind(), "none": None, "scope": scope}[give]
        line = r"write_back\(scope\.session, " if give == "scope" else r"write_back\(session, "
        with pytest.raises(WriteBackError, match=line):
            write_back(given, replace(page, title="new"), base=page)
