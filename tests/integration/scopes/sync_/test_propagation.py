"""Rules 3, 4 and 14: joining, savepoints, independent scopes; nothing ambient between databases."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import sessionmaker

from sqla_safe import (
    NoScopeError,
    RollbackOnlyError,
    ScopeOptionError,
    current_scope,
    scoped_services,
)
from tests.integration.scopes.models import Note, SyncNotes, stored
from tests.integration.scopes.sync_.support import in_thread, on_postgres, on_servers, on_sqlite
from tests.integration.scopes.watching import here


class OwnError(Exception):
    """An application's own."""


def test_a_scope_inside_a_scope_joins_it(sync_maker, sync_database):
    """Both share the session; nothing is stored before the outer end."""
    with scoped_services(sync_maker, SyncNotes) as outer:
        outer.add("a")
        with scoped_services(sync_maker, SyncNotes) as inner:
            inner.add("b")
            assert inner.session is outer.session
        assert stored(sync_database) == []
        outer.add("c")
    assert stored(sync_database) == ["a", "b", "c"]


def test_a_joined_scope_shares_the_outcome(sync_maker):
    """The inner scope has no outcome of its own before the outer one has ended."""
    with scoped_services(sync_maker, SyncNotes) as notes:
        notes.add("a")
        with scoped_services(sync_maker) as inner:
            pass
        assert inner.outcome is None
    assert inner.outcome == "committed"


def test_the_innermost_scope_is_the_current_one(sync_maker):
    """`current_scope` follows the blocks in and out."""
    with scoped_services(sync_maker) as outer:
        with scoped_services(sync_maker) as inner:
            assert current_scope(sync_maker) is inner
        assert current_scope(sync_maker) is outer
    with pytest.raises(NoScopeError):
        current_scope(sync_maker)


def test_an_inner_failure_that_leaves_both_blocks_is_unchanged(sync_maker, sync_database):
    """An error through joined blocks stays the object it was."""
    own = OwnError()
    with pytest.raises(OwnError) as caught, scoped_services(sync_maker, SyncNotes) as notes:
        notes.add("a")
        with scoped_services(sync_maker):
            raise own
    assert caught.value is own
    assert own.__context__ is None
    assert stored(sync_database) == []


def test_a_swallowed_inner_failure_stores_nothing(sync_maker, sync_engine, sync_database):
    """The outer end raises RollbackOnlyError, caused by the inner error, with the inner line."""
    own = OwnError()
    with (
        pytest.raises(RollbackOnlyError) as caught,
        scoped_services(sync_maker, SyncNotes) as outer,
    ):
        outer.add("a")
        try:
            inner_at = here(1)
            with scoped_services(sync_maker, SyncNotes) as inner:
                inner.add("b")
                raise own
        except OwnError:
            pass
        outer.add("c")
    assert caught.value.__cause__ is own
    assert caught.value.where.endswith(inner_at)
    assert inner_at in str(caught.value)
    assert sync_engine.pool.checkedout() == 0
    assert stored(sync_database) == []


def test_the_first_of_two_swallowed_inner_failures_is_named(sync_maker):
    """A later failure does not hide the one that came first."""
    first, second = OwnError(), OwnError()
    with pytest.raises(RollbackOnlyError) as caught, scoped_services(sync_maker):
        for error in (first, second):
            with pytest.raises(OwnError), scoped_services(sync_maker):
                raise error
    assert caught.value.__cause__ is first


def test_set_rollback_only_in_a_joined_scope_dooms_the_whole(sync_maker, sync_database):
    """A part that must not be stored keeps the whole from being stored."""
    with (
        pytest.raises(RollbackOnlyError, match="the part says no"),
        scoped_services(sync_maker, SyncNotes) as notes,
    ):
        notes.add("a")
        with scoped_services(sync_maker) as inner:
            inner.set_rollback_only("the part says no")
    assert stored(sync_database) == []


def test_a_nested_scope_is_stored_with_the_outer_one(sync_maker, sync_database):
    """A savepoint that ends well is stored by the outer commit, not before."""
    with scoped_services(sync_maker, SyncNotes) as notes:
        notes.add("a")
        with scoped_services(sync_maker, SyncNotes, propagation="nested") as inner:
            inner.add("b")
        assert stored(sync_database) == []
    assert stored(sync_database) == ["a", "b"]


def test_a_nested_failure_undoes_only_its_part(sync_maker, sync_database):
    """Outer a, nested b fails and is swallowed, outer c: a and c are stored."""
    with scoped_services(sync_maker, SyncNotes) as outer:
        outer.add("a")
        with (
            pytest.raises(OwnError),
            scoped_services(sync_maker, SyncNotes, propagation="nested") as inner,
        ):
            inner.add("b")
            raise OwnError
        outer.add("c")
    assert stored(sync_database) == ["a", "c"]


def test_a_nested_failure_as_the_first_write_is_undone(sync_maker, sync_database):
    """The savepoint that begins the transaction is undone like any other."""
    with scoped_services(sync_maker, SyncNotes) as outer:
        with (
            pytest.raises(OwnError),
            scoped_services(sync_maker, SyncNotes, propagation="nested") as inner,
        ):
            inner.add("b")
            raise OwnError
        outer.add("c")
    assert stored(sync_database) == ["c"]


def test_a_nested_database_error_is_contained(sync_maker, sync_database):
    """A failed flush in a nested scope does not doom what is around it."""
    with scoped_services(sync_maker, SyncNotes) as outer:
        outer.add("a")
        with (
            pytest.raises(IntegrityError),
            scoped_services(sync_maker, SyncNotes, propagation="nested") as inner,
        ):
            inner.add("a")
        outer.add("c")
    assert stored(sync_database) == ["a", "c"]


def test_an_outer_failure_undoes_a_nested_success(sync_maker, sync_database):
    """A released savepoint is undone with the transaction around it."""
    with pytest.raises(OwnError), scoped_services(sync_maker, SyncNotes) as outer:
        outer.add("a")
        with scoped_services(sync_maker, SyncNotes, propagation="nested") as inner:
            inner.add("b")
        raise OwnError
    assert stored(sync_database) == []


def test_savepoints_within_savepoints(sync_maker, sync_database):
    """A failure at depth three undoes depth three only; one at depth two undoes both."""
    with scoped_services(sync_maker, SyncNotes) as notes:
        notes.add("a")
        with scoped_services(sync_maker, propagation="nested"):
            notes.add("b")
            with pytest.raises(OwnError), scoped_services(sync_maker, propagation="nested"):
                notes.add("c")
                raise OwnError
            notes.add("d")
        with pytest.raises(OwnError), scoped_services(sync_maker, propagation="nested"):
            notes.add("e")
            with scoped_services(sync_maker, propagation="nested"):
                notes.add("f")
            raise OwnError
    assert stored(sync_database) == ["a", "b", "d"]


def test_the_outcome_of_nested_scopes(sync_maker):
    """A nested scope is committed only with the outermost one, and rolled back at once."""
    with scoped_services(sync_maker, SyncNotes) as notes:
        with scoped_services(sync_maker, propagation="nested") as good:
            notes.add("a")
        with (
            pytest.raises(OwnError),
            scoped_services(sync_maker, propagation="nested") as bad,
        ):
            raise OwnError
        assert (good.outcome, bad.outcome) == (None, "rolled_back")
    assert (good.outcome, bad.outcome) == ("committed", "rolled_back")


def test_a_nested_success_in_a_failed_scope_is_rolled_back(sync_maker):
    """The outcome of a released savepoint follows what is around it."""
    with pytest.raises(OwnError), scoped_services(sync_maker):
        with scoped_services(sync_maker, propagation="nested") as good:
            good.session.add(Note(text="a"))
        raise OwnError
    assert good.outcome == "rolled_back"


@on_postgres
def test_a_swallowed_error_inside_a_nested_scope_undoes_that_scope(sync_maker, sync_database):
    """A savepoint that was aborted does not end in success either; what is around it goes on."""
    with scoped_services(sync_maker, SyncNotes) as notes:
        notes.add("a")
        with (
            pytest.raises(RollbackOnlyError),
            scoped_services(sync_maker, propagation="nested"),
        ):
            notes.add("b")
            with pytest.raises(DBAPIError):
                notes.session.execute(text("SELECT 1 / 0"))
        notes.add("c")
    assert stored(sync_database) == ["a", "c"]


def test_a_swallowed_flush_error_inside_a_nested_scope_undoes_that_scope(sync_maker, sync_database):
    """The same for a flush, which SQLAlchemy rolls back itself."""
    with scoped_services(sync_maker, SyncNotes) as notes:
        notes.add("a")
        with (
            pytest.raises(RollbackOnlyError) as caught,
            scoped_services(sync_maker, propagation="nested"),
        ):
            notes.add("b")
            with pytest.raises(IntegrityError):
                notes.add("a")
        assert isinstance(caught.value.__cause__, IntegrityError)
        notes.add("c")
    assert stored(sync_database) == ["a", "c"]


def test_a_swallowed_failure_joined_to_a_nested_scope_undoes_that_scope(sync_maker, sync_database):
    """A joined block dooms the savepoint it joined, and not the whole transaction."""
    with scoped_services(sync_maker, SyncNotes) as notes:
        notes.add("a")
        with (
            pytest.raises(RollbackOnlyError),
            scoped_services(sync_maker, propagation="nested"),
        ):
            notes.add("b")
            with pytest.raises(OwnError), scoped_services(sync_maker):
                raise OwnError
        notes.add("c")
    assert stored(sync_database) == ["a", "c"]


def test_nested_alone_opens_a_scope(sync_maker, sync_database):
    """Without a scope around it a nested block is a transaction of its own."""
    with scoped_services(sync_maker, SyncNotes, propagation="nested") as notes:
        notes.add("a")
    assert stored(sync_database) == ["a"]


@on_servers
def test_an_independent_scope_survives_the_outer_failure(sync_maker, sync_engine, sync_database):
    """`requires_new` commits at its own end, whatever becomes of the block around it."""
    with pytest.raises(OwnError), scoped_services(sync_maker, SyncNotes) as outer:
        outer.add("a")
        with scoped_services(sync_maker, SyncNotes, propagation="requires_new") as inner:
            inner.add("b")
        assert stored(sync_database) == ["b"]
        raise OwnError
    assert stored(sync_database) == ["b"]
    assert sync_engine.pool.checkedout() == 0


def test_the_outer_scope_survives_an_independent_failure(sync_maker, sync_database):
    """A failed `requires_new` block that is swallowed dooms nothing."""
    with scoped_services(sync_maker, SyncNotes) as outer:
        with (
            pytest.raises(OwnError),
            scoped_services(sync_maker, SyncNotes, propagation="requires_new") as inner,
        ):
            inner.add("b")
            raise OwnError
        outer.add("a")
    assert stored(sync_database) == ["a"]


def test_an_independent_scope_is_the_current_one_while_it_is_open(sync_maker):
    """Blocks inside `requires_new` join it, and not the one further out."""
    with scoped_services(sync_maker) as outer:
        with (
            scoped_services(sync_maker, propagation="requires_new") as independent,
            scoped_services(sync_maker) as joined,
        ):
            assert joined.session is independent.session
        assert current_scope(sync_maker) is outer


@on_sqlite
def test_mandatory_joins(sync_maker, sync_database):
    """Inside a scope `mandatory` is `required`."""
    with (
        scoped_services(sync_maker, SyncNotes) as outer,
        scoped_services(sync_maker, SyncNotes, propagation="mandatory") as inner,
    ):
        inner.add("a")
        assert inner is outer
    assert stored(sync_database) == ["a"]


@on_sqlite
def test_mandatory_alone_is_refused(sync_maker, sync_engine):
    """Without a scope `mandatory` raises NoScopeError."""
    with (
        pytest.raises(NoScopeError, match="mandatory"),
        scoped_services(sync_maker, propagation="mandatory"),
    ):
        pytest.fail("the block was entered")
    assert sync_engine.pool.checkedout() == 0


@on_sqlite
def test_never_inside_a_scope_is_refused_with_its_line(sync_maker, sync_database):
    """`never` names the scope that is open, and does it no harm."""
    with scoped_services(sync_maker, SyncNotes) as notes:
        opened = here(-1)
        notes.add("a")
        with (
            pytest.raises(ScopeOptionError, match=opened),
            scoped_services(sync_maker, propagation="never"),
        ):
            pytest.fail("the block was entered")
    assert stored(sync_database) == ["a"]


@on_sqlite
def test_a_scope_handed_over_is_joined_from_another_thread(sync_maker, sync_database):
    """Handed over on purpose, a scope is joined where it would not be inherited."""

    def work():
        with scoped_services(scope, SyncNotes) as notes:
            notes.add("a")
            return notes.session

    with scoped_services(sync_maker) as scope:
        assert in_thread(work) is scope.session
        assert stored(sync_database) == []
    assert stored(sync_database) == ["a"]


@on_sqlite
def test_a_scope_handed_over_is_doomed_by_a_failure_there(sync_maker, sync_database):
    """A failure in the other thread dooms the scope as in this one."""

    def work():
        with scoped_services(scope, SyncNotes) as notes:
            notes.add("a")
            raise OwnError

    with (
        pytest.raises(RollbackOnlyError),
        scoped_services(sync_maker) as scope,
        pytest.raises(OwnError),
    ):
        in_thread(work)
    assert stored(sync_database) == []


@on_sqlite
def test_two_sessionmakers_never_mix(sync_maker, sync_engine, sync_database):
    """Rule 14: a scope of one sessionmaker is not joined by another's, open or failed."""
    other = sessionmaker(sync_engine)
    with scoped_services(sync_maker, SyncNotes) as notes:
        with pytest.raises(OwnError), scoped_services(other) as foreign:
            assert foreign.session is not notes.session
            with scoped_services(sync_maker) as own:
                assert own.session is notes.session
            raise OwnError
        notes.add("a")
    assert stored(sync_database) == ["a"]


@on_sqlite
@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        ({}, {"isolation_level": "SERIALIZABLE"}),
        ({"read_only": True}, {}),
        ({"read_only": True}, {"propagation": "nested"}),
        ({"timeout": 1}, {"timeout": 2}),
    ],
    ids=["isolation", "read-write", "read-write-nested", "longer-timeout"],
)
def test_what_a_join_cannot_honour_is_refused(sync_maker, outer, inner):
    """Rule 4: the error names the line of the scope that stands in the way, which goes on."""
    with scoped_services(sync_maker, **outer) as scope:
        opened = here(-1)
        with (
            pytest.raises(ScopeOptionError, match=opened),
            scoped_services(sync_maker, **inner),
        ):
            pytest.fail("the block was entered")
        assert scope.session.scalar(text("SELECT 1")) == 1
    assert scope.outcome == "committed"


@on_sqlite
@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        ({"isolation_level": "SERIALIZABLE"}, {"isolation_level": "serializable"}),
        ({"isolation_level": "SERIALIZABLE"}, {}),
        ({"read_only": True}, {"read_only": True}),
        ({}, {"read_only": True}),
        ({"timeout": 5}, {"timeout": 1}),
        ({"timeout": 5}, {}),
        ({}, {"timeout": 1}),
        ({"read_only": True}, {"propagation": "requires_new"}),
        ({}, {"propagation": "requires_new", "isolation_level": "SERIALIZABLE"}),
        ({"timeout": 1}, {"propagation": "requires_new", "timeout": 2}),
    ],
    ids=str,
)
def test_what_a_join_can_honour_is_allowed(sync_maker, outer, inner):
    """The same or stricter options join, and an independent scope has its own."""
    with scoped_services(sync_maker, **outer), scoped_services(sync_maker, **inner) as scope:
        assert scope.session.scalar(text("SELECT 1")) == 1
    assert scope.outcome == "committed"
