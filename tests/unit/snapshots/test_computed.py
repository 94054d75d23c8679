"""Computed attributes and methods work on what was captured."""

from __future__ import annotations

import pytest
from sqlalchemy import inspect, select
from sqlalchemy.orm import load_only, undefer, undefer_group

from sqla_safe import FrozenSnapshotError, NotLoadedError, is_snapshot, snapshot
from tests.unit.snapshots.models.computed import Account, Entry, Marker, marker
from tests.unit.snapshots.support import sent


@pytest.fixture
def account(store):
    """Give a loaded account with two entries that are not."""
    session = store(
        Account(
            id=1,
            first="Mona",
            last="Lisa",
            cents=1250,
            nick="Gioconda",
            long_text="text",
            long_note="note",
            long_mail="mail",
            entries=[Entry(id=1, cents=1000), Entry(id=2, cents=250)],
        )
    )
    yield session.get_one(Account, 1)
    session.close()


def test_a_hybrid_reads(account):
    """Its Python side runs on the snapshot."""
    assert snapshot(account).euros == 12.5


def test_a_hybrid_with_an_expression_reads(account):
    """The SQL side is not asked."""
    assert snapshot(account).kind == "rich"


def test_a_hybrid_with_a_setter_is_refused(account):
    """Its setter is not even called."""
    with pytest.raises(FrozenSnapshotError, match=r"Account\.euros"):
        snapshot(account).euros = 1.0


def test_a_hybrid_method_can_be_called(account):
    """With its argument."""
    assert snapshot(account).has_more_than(1000)


def test_a_hybrid_is_still_sql_on_the_class(store):
    """Freezing has not touched the class."""
    session = store(Account(id=1, first="a", last="b", cents=5000))
    snapshot(session.get_one(Account, 1))
    assert session.scalars(select(Account.kind)).one() == "rich"


def test_a_column_property_is_held(account):
    """What the database computed when the entity was loaded."""
    assert snapshot(account).full_name == "Mona Lisa"


def test_a_column_property_with_a_subquery_is_held(account):
    """A count, for example."""
    assert snapshot(account).entry_count == 2


def test_a_deferred_column_property_is_a_path(account):
    """Not captured unless it is named."""
    with pytest.raises(NotLoadedError):
        _ = snapshot(account).slow_count
    assert snapshot(account, Account.slow_count).slow_count == 1000


def test_a_synonym_reads_what_it_stands_for(account):
    """Another name of a column."""
    assert snapshot(account).surname == "Lisa"


def test_a_synonym_of_a_relationship_reads_it(account):
    """Another name of a collection."""
    shown = snapshot(account, Account.entries)
    assert shown.postings is shown.entries


def test_a_synonym_is_a_path(account):
    """It loads what it stands for."""
    assert len(snapshot(account, Account.postings).entries) == 2


def test_a_synonym_of_something_missing_names_what_it_stands_for(account):
    """The path that helps."""
    with pytest.raises(NotLoadedError, match=r"Account\.entries"):
        _ = snapshot(account).postings


def test_a_column_under_another_attribute_name(account):
    """`_nick` is the attribute, "nick" the column, and a property stands before both."""
    shown = snapshot(account)
    assert (shown._nick, shown.nick) == ("Gioconda", "Gioconda")  # noqa: SLF001


def test_a_property_with_a_setter_is_refused(account):
    """A snapshot cannot be changed through it."""
    with pytest.raises(FrozenSnapshotError):
        snapshot(account).nick = "other"


def test_a_property_over_a_relationship(account):
    """It reads the frozen collection."""
    assert snapshot(account, Account.entries).entry_sum == 1250


def test_a_property_over_something_missing_says_so(account):
    """The error is that of the attribute, not of the property."""
    with pytest.raises(NotLoadedError, match=r"Account\.entries"):
        _ = snapshot(account).entry_sum


def test_a_method_calls_super(account):
    """Zero-argument `super()` finds the base class."""
    assert snapshot(account).describe() == "an account of Mona"


def test_a_method_calls_super_by_name(account):
    """And so does the explicit form."""
    assert snapshot(account).describe_by_name() == "an account"


def test_a_cached_property_reads(account):
    """Whether or not it can keep its value."""
    shown = snapshot(account)
    assert (shown.initials, shown.initials) == ("ML", "ML")


def test_a_cached_property_is_computed_for_the_snapshot(account):
    """What the entity has kept is not taken over."""
    assert account.initials == "ML"
    account.first = "Nona"
    assert snapshot(account).initials == "NL"


def test_a_cached_property_leaves_the_snapshot_equal(account):
    """Reading it changes neither equality nor hash."""
    one, two = snapshot(account), snapshot(account)
    assert one.initials
    assert one == two
    assert hash(one) == hash(two)


def test_making_another_object_makes_an_entity(account):
    """`type(self)(...)` in a method means the mapped class."""
    twin = snapshot(account).twin()
    assert not is_snapshot(twin)
    assert inspect(twin).transient


def test_a_classmethod_makes_an_entity(account):
    """`cls(...)` too."""
    nobody = snapshot(account).nobody()
    assert not is_snapshot(nobody)
    assert nobody.first == "No"


def test_a_static_method_can_be_called(account):
    """It needs nothing of the object."""
    assert snapshot(account).currency() == "EUR"


def test_a_method_that_changes_the_object_is_refused(account):
    """With the error of the assignment in it."""
    with pytest.raises(FrozenSnapshotError, match=r"Account\.first"):
        snapshot(account).rename("Nona")


def test_the_user_s_str_is_kept(account):
    """`__str__` is a method like others."""
    assert str(snapshot(account)) == "Mona Lisa"


# --- deferred ---------------------------------------------------------------------------------


def test_a_deferred_column_is_not_captured(account):
    """It was not loaded, and nobody asked for it."""
    with pytest.raises(NotLoadedError, match=r"Account\.long_text"):
        _ = snapshot(account).long_text


def test_freezing_does_not_load_deferred_columns(account):
    """No statement at all."""
    with sent() as statements:
        snapshot(account)
    assert statements == []


def test_a_deferred_column_is_a_path(account):
    """Named, it is loaded."""
    assert snapshot(account, Account.long_text).long_text == "text"


def test_a_deferred_column_that_was_read_is_held(account):
    """Loaded is loaded."""
    assert account.long_text == "text"
    assert snapshot(account).long_text == "text"


def test_a_deferred_column_of_many_costs_one_statement(store):
    """Not one per entity."""
    session = store(*[Account(first="a", last="b", long_text="text") for _ in range(20)])
    accounts = session.scalars(select(Account)).all()
    with sent() as statements:
        shown = snapshot(accounts, Account.long_text)
    assert len(statements) == 1
    assert {one.long_text for one in shown} == {"text"}


def test_a_column_of_a_deferred_group_is_a_path(account):
    """Named, it is loaded."""
    assert snapshot(account, Account.long_note).long_note == "note"


def test_undefer_as_a_path(account):
    """A loader option is used as it is."""
    assert snapshot(account, undefer(Account.long_text)).long_text == "text"


def test_undefer_group_as_a_path(account):
    """All columns of the group."""
    shown = snapshot(account, undefer_group("long"))
    assert (shown.long_note, shown.long_mail) == ("note", "mail")


def test_a_column_deferred_by_the_query_is_not_captured(account):
    """`load_only` of the user's own."""
    session = inspect(account).session
    session.expunge_all()
    account = session.scalars(select(Account).options(load_only(Account.first))).one()
    shown = snapshot(account)
    assert shown.first == "Mona"
    with pytest.raises(NotLoadedError, match=r"Account\.last"):
        _ = shown.last


def test_a_column_deferred_by_the_query_is_a_path(account):
    """Any column can be asked for."""
    session = inspect(account).session
    session.expunge_all()
    account = session.scalars(select(Account).options(load_only(Account.first))).one()
    assert snapshot(account, Account.last).last == "Lisa"


def test_a_deferred_column_of_the_second_level(account):
    """The same for an entity that a path brings."""
    session = inspect(account).session
    session.expunge_all()
    entry = session.get_one(Entry, 1)
    assert snapshot(entry, Entry.account, Account.long_text).account.long_text == "text"


def test_a_cached_property_is_computed_once(account, monkeypatch):
    """The snapshot keeps its value as an instance does."""
    shown = snapshot(account)
    first = shown.initials
    monkeypatch.setattr(Account.__dict__["initials"], "func", lambda _: pytest.fail("again"))
    assert shown.initials is first


def test_a_cached_property_is_seen_in_the_instance_s_dict(account):
    """Beside what was captured."""
    shown = snapshot(account)
    assert shown.initials == "ML"
    assert shown.__dict__["initials"] == "ML"


def test_a_cached_property_can_be_computed_again(account):
    """What it kept is deleted from the dict, as from an entity's."""
    shown = snapshot(account)
    assert shown.initials == "ML"
    del shown.__dict__["initials"]
    assert "initials" not in vars(shown)


def test_a_method_that_reads_the_instance_s_dict_finds_what_was_captured(account):
    """The same as on the entity."""
    assert snapshot(account).as_dict() == account.as_dict()


def test_the_instance_s_dict_shows_relationships(account):
    """As snapshots."""
    shown = snapshot(account, Account.entries)
    assert vars(shown)["entries"] is shown.entries


def test_the_instance_s_dict_changes_nothing_that_was_captured(account):
    """It takes what is not captured, such as a cached property, and nothing else."""
    shown = snapshot(account)
    with pytest.raises(FrozenSnapshotError):
        vars(shown)["first"] = "hacked"


def test_the_instance_s_dict_loses_nothing_in_silence(account):
    """What it cannot keep, it refuses."""
    with pytest.raises(FrozenSnapshotError):
        vars(snapshot(account)).update(extra=1)


@pytest.mark.parametrize("name", ["label", "code"])
def test_a_synonym_with_a_property_of_its_own_reads_through_it(store, name):
    """As on the entity."""
    live = store(marker()).get_one(Marker, 1)
    assert getattr(snapshot(live), name) == getattr(live, name)
