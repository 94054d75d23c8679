"""`write_back`: one UPDATE of what was changed, if nobody else was quicker."""

from __future__ import annotations

import pytest
from sqlalchemy import event, select
from sqlalchemy.orm import Session, defer, scoped_session, sessionmaker, with_loader_criteria
from sqlalchemy.orm.exc import StaleDataError

from sqla_safe import (
    NotLoadedError,
    SqlaSafeError,
    StaleSnapshotError,
    WriteBackError,
    dumps,
    is_snapshot,
    loads,
    replace,
    snapshot,
    write_back,
)
from tests.unit.snapshots.models.computed import Account, Point
from tests.unit.snapshots.models.eager import Counted
from tests.unit.snapshots.models.joins import Chief, Guard, NightGuard
from tests.unit.snapshots.models.keys import Seat, Ticket
from tests.unit.snapshots.models.values import Frozen, Record, Size, record
from tests.unit.snapshots.models.versions import Book, Link, Page, Stamped, Token
from tests.unit.snapshots.support import pickled, sent

CANARY = "canary-4711"


def row(session, entity, key=1):
    """Read a row as it is stored."""
    with Session(session.get_bind()) as reader:
        return snapshot(reader.get_one(entity, key))


@pytest.fixture
def session(store):
    """Give a session on a database with a page of two links."""
    links = [Link(id=1, url="a", point=Point(1, 2)), Link(id=2, url="b")]
    return store(Page(id=1, title="old", body="body", meta={"tags": ["x"]}, links=links))


@pytest.fixture
def page(session):
    """Give a snapshot of the page; its session has ended."""
    with Session(session.get_bind()) as reader:
        return snapshot(reader.get_one(Page, 1), Page.links)


def overtake(session, **columns):
    """Change the page behind the snapshot's back, as another process would."""
    with Session(session.get_bind()) as other, other.begin():
        live = other.get_one(Page, 1)
        for name, value in columns.items():
            setattr(live, name, value)


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


# --- joined inheritance -----------------------------------------------------------------------


@pytest.fixture
def library(store):
    """Give a session on a database with one book."""
    return store(Book(id=1, name="old", pages=10))


@pytest.fixture
def book(library):
    """Give its snapshot."""
    return snapshot(library.get_one(Book, 1))


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


# --- what cannot be written -------------------------------------------------------------------


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


# --- containers -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("anything", {"a": [1, {2}]}),
        ("settings", {"a": [1]}),
        ("history", [1, {"a": 1}]),
        ("labels", {1, 2}),
        ("words", ["a", "b"]),
    ],
    ids=["pickle", "mutable dict", "mutable list", "mutable set", "list"],
)
def test_containers_are_stored_as_plain_ones(store, name, value):
    """What is read afterwards is what an assignment to the entity would have stored."""
    session = store(record())
    base = snapshot(session.get_one(Record, 1))
    write_back(session, replace(base, **{name: value}), base=base)
    session.commit()
    stored = getattr(session.get_one(Record, 1), name)
    assert stored == value
    if name == "anything":
        assert type(stored) is dict
        assert type(stored["a"]) is list


@pytest.mark.parametrize(
    "value", [Frozen({"a": [1]}), Size(1, [{"a": 1}])], ids=["frozen dataclass", "named tuple"]
)
def test_no_class_of_a_snapshot_is_stored(store, value):
    """Other programs read the column, too."""
    session = store(record())
    base = snapshot(session.get_one(Record, 1))
    write_back(session, replace(base, anything=value), base=base)
    [stored] = session.connection().exec_driver_sql("SELECT anything FROM record").scalars()
    assert b"sqla_safe" not in stored


@pytest.mark.parametrize(
    "value", [Frozen({"a": [1]}), Size(1, [{"a": 1}])], ids=["frozen dataclass", "named tuple"]
)
def test_a_value_with_containers_in_it_is_stored_as_it_was(store, value):
    """Equal, and of its class."""
    session = store(record())
    base = snapshot(session.get_one(Record, 1))
    write_back(session, replace(base, anything=value), base=base)
    session.commit()
    assert session.get_one(Record, 1).anything == value


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
