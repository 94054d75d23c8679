"""What `write_back` sends and stores: one UPDATE of what was changed."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from sqla_safe import (
    NotLoadedError,
    dumps,
    is_snapshot,
    loads,
    replace,
    snapshot,
    write_back,
)
from tests.unit.snapshots.models.computed import Account, Point
from tests.unit.snapshots.models.keys import Seat, Ticket
from tests.unit.snapshots.models.versions import Link, Page
from tests.unit.snapshots.support import pickled, sent
from tests.unit.snapshots.write_back.support import row

# --- what is written --------------------------------------------------------------------------


def test_a_change_is_stored(session, page):
    """After the commit the row has it."""
    write_back(session, replace(page, title="new"), base=page)
    session.commit()
    assert row(session, Page).title == "new"


def test_one_update_is_all_that_is_sent(session, page):
    """No SELECT, before or after."""
    with sent() as statements:
        write_back(session, replace(page, title="new"), base=page)
    assert [statement.split()[0] for statement in statements] == ["UPDATE"]


def test_only_the_changed_columns_are_in_it(session, page):
    """And the version."""
    with sent() as statements:
        write_back(session, replace(page, title="new"), base=page)
    assigned = statements[0].split("SET")[1].split("WHERE")[0]
    assert sorted(part.split("=")[0].strip() for part in assigned.split(",")) == [
        "title",
        "version",
    ]


def test_the_update_asks_for_key_and_version(session, page):
    """That is the lock."""
    with sent() as statements:
        write_back(session, replace(page, title="new"), base=page)
    where = statements[0].split("WHERE")[1]
    assert "page.id =" in where
    assert "page.version =" in where


def test_the_new_version_comes_back(session, page):
    """The result is what the next write starts from."""
    stored = write_back(session, replace(page, title="new"), base=page)
    assert (stored.version, stored.title, is_snapshot(stored)) == (2, "new", True)


def test_the_result_can_be_written_back_again(session, page):
    """A second change on top of the first."""
    one = write_back(session, replace(page, title="one"), base=page)
    two = write_back(session, replace(one, title="two"), base=one)
    session.commit()
    assert (row(session, Page).title, two.version) == ("two", 3)


def test_the_result_equals_the_row(session, page):
    """What came back is what is stored."""
    stored = write_back(session, replace(page, title="new"), base=page)
    session.commit()
    with Session(session.get_bind()) as reader:
        assert snapshot(reader.get_one(Page, 1), Page.links).version == stored.version


def test_a_column_changed_by_others_is_kept_without_a_version(session):
    """Column by column, the last writer wins."""
    with Session(session.get_bind()) as reader:
        link = snapshot(reader.get_one(Link, 1))
    with Session(session.get_bind()) as other, other.begin():
        other.get_one(Link, 1).note = "theirs"
    write_back(session, replace(link, url="ours"), base=link)
    session.commit()
    assert (row(session, Link).url, row(session, Link).note) == ("ours", "theirs")


def test_nothing_changed_is_nothing_sent(session, page):
    """Not even the version moves."""
    with sent() as statements:
        stored = write_back(session, replace(page), base=page)
    assert statements == []
    assert stored == page


def test_a_change_to_the_same_value_is_nothing_sent(session, page):
    """Equal is unchanged."""
    with sent() as statements:
        write_back(session, replace(page, title="old"), base=page)
    assert statements == []


def test_a_change_to_null_is_stored(session, page):
    """None is a value."""
    write_back(session, replace(page, body=None), base=page)
    session.commit()
    assert row(session, Page).body is None


def test_a_json_value_is_stored(session, page):
    """As the JSON that it is."""
    write_back(session, replace(page, meta={"tags": ["x", {"y": None}]}), base=page)
    session.commit()
    assert row(session, Page).meta == {"tags": ("x", {"y": None})}


def test_a_composite_is_stored(session):
    """By its columns."""
    with Session(session.get_bind()) as reader:
        link = snapshot(reader.get_one(Link, 1))
    write_back(session, replace(link, point=Point(1, 5)), base=link)
    session.commit()
    assert row(session, Link).point == Point(1, 5)


def test_a_composite_sends_only_the_column_that_differs(session):
    """One of its two."""
    with Session(session.get_bind()) as reader:
        link = snapshot(reader.get_one(Link, 1))
    with sent() as statements:
        write_back(session, replace(link, point=Point(1, 5)), base=link)
    assert "x=" not in statements[0]
    assert "y=" in statements[0]


def test_a_synonym_is_stored(store):
    """By what it stands for."""
    session = store(Account(id=1, first="Mona", last="Lisa"))
    base = snapshot(session.get_one(Account, 1))
    write_back(session, replace(base, surname="Gherardini"), base=base)
    session.commit()
    assert row(session, Account).last == "Gherardini"


def test_an_attribute_with_another_column_name_is_stored(store):
    """Attribute names are not column names."""
    session = store(Account(id=1, first="Mona", last="Lisa", nick="a"))
    base = snapshot(session.get_one(Account, 1))
    write_back(session, replace(base, _nick="b"), base=base)
    session.commit()
    assert row(session, Account).nick == "b"


def test_a_foreign_key_is_stored(session):
    """A relationship is changed through its column."""
    with Session(session.get_bind()) as reader:
        link = snapshot(reader.get_one(Link, 1))
    write_back(session, replace(link, page_id=None), base=link)
    session.commit()
    assert row(session, Link).page_id is None


def test_a_column_that_base_lacks_is_stored(session):
    """Nobody knows what was there, so it is written."""
    with Session(session.get_bind()) as reader:
        page = snapshot(reader.get_one(Page, 1))
    write_back(session, replace(page, draft="draft"), base=page)
    session.commit()
    with Session(session.get_bind()) as reader:
        assert reader.get_one(Page, 1).draft == "draft"


def test_a_key_of_two_columns_is_asked_for(store):
    """One row of many."""
    seats = [Seat(row=1, letter="A"), Seat(row=1, letter="B")]
    session = store(*seats, Ticket(id=1, seat_row=1, seat_letter="A"))
    base = snapshot(session.get_one(Ticket, 1))
    write_back(session, replace(base, seat_letter="B"), base=base)
    session.commit()
    assert row(session, Ticket).seat_letter == "B"


def test_the_related_snapshots_stay(session, page):
    """The result holds what `changed` held."""
    stored = write_back(session, replace(page, title="new"), base=page)
    assert [link.url for link in stored.links] == ["a", "b"]


def test_nothing_is_committed(session, page):
    """The transaction is the caller's."""
    write_back(session, replace(page, title="new"), base=page)
    session.rollback()
    assert row(session, Page).title == "old"


def test_a_scoped_session_will_do(session, page):
    """The registry stands for its session."""
    registry = scoped_session(sessionmaker(session.get_bind()))
    write_back(registry, replace(page, title="new"), base=page)
    registry.commit()
    registry.remove()
    assert row(session, Page).title == "new"


def test_a_loaded_entity_sees_the_change(session, page):
    """It does not go on showing the old value."""
    live = session.get_one(Page, 1)
    write_back(session, replace(page, title="new"), base=page)
    assert (live.title, live.version) == ("new", 2)


def test_a_loaded_entity_can_be_changed_afterwards(session, page):
    """Its version is the row's."""
    live = session.get_one(Page, 1)
    write_back(session, replace(page, title="new"), base=page)
    live.body = "more"
    session.commit()
    assert (row(session, Page).title, row(session, Page).body) == ("new", "more")


def test_a_snapshot_that_was_pickled_can_be_written_back(session, page):
    """The usual way of a form: out, changed elsewhere, and in."""
    base = pickled(page)
    write_back(session, replace(base, title="new"), base=base)
    session.commit()
    assert row(session, Page).title == "new"


def test_a_snapshot_from_a_cache_can_be_written_back(session, page):
    """The same through `dumps` and `loads`."""
    base = loads(Page, dumps(page))
    write_back(session, replace(base, title="new"), base=base)
    session.commit()
    assert row(session, Page).title == "new"


# --- foreign keys -----------------------------------------------------------------------------


@pytest.fixture
def link(session):
    """Give a live link whose page is loaded, in a database with another page."""
    session.add(Page(id=2, title="other"))
    session.commit()
    live = session.get_one(Link, 1)
    assert live.page.id == 1
    return live


def test_a_written_foreign_key_drops_its_relationship(session, link):
    """The result does not hold the page from before."""
    base = snapshot(link)
    stored = write_back(session, replace(base, page_id=2), base=base)
    with pytest.raises(NotLoadedError, match=r"Link\.page"):
        _ = stored.page


def test_a_written_foreign_key_leads_the_live_entity_elsewhere(session, link):
    """Its relationship has expired."""
    base = snapshot(link)
    write_back(session, replace(base, page_id=2), base=base)
    assert link.page.id == 2


def test_a_later_snapshot_has_the_new_target(session, link):
    """In the same session."""
    base = snapshot(link)
    write_back(session, replace(base, page_id=2), base=base)
    assert snapshot(link, Link.page).page.id == 2


def test_another_written_column_keeps_the_relationship(session, link):
    """It leads where it led."""
    base = snapshot(link)
    stored = write_back(session, replace(base, url="new"), base=base)
    assert stored.page is base.page
