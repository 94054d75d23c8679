"""`transactional`: a function that is a scope, run again when the database says so."""

from __future__ import annotations

import inspect
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from sqla_safe import (
    CommitCallbackError,
    CommitOutcomeUnknownError,
    RollbackOnlyError,
    Scope,
    current_scope,
    is_retryable,
    prepare_sqlite,
    scoped_services,
    transactional,
)
from tests.integration.scopes.models import Author, Note, SyncAuthors, SyncNotes, stored
from tests.integration.scopes.sync_.support import (
    kill,
    on_mysql,
    on_postgres,
    on_servers,
    on_sqlite,
    server_id,
    stronger_rival,
)


def test_the_function_is_a_scope(sync_maker, sync_database):
    """It gets the services first and its own arguments after them; its value comes back."""

    @transactional(sync_maker, SyncNotes, SyncAuthors)
    def write(notes: SyncNotes, authors: SyncAuthors, name: str, *, prefix: str = "") -> str:
        assert notes.session is authors.session
        authors.add(name)
        return notes.add(prefix + name).text

    assert write("Vanya", prefix="from ") == "from Vanya"
    assert stored(sync_database) == ["from Vanya"]


@on_sqlite
def test_an_error_rolls_back(sync_maker, sync_database):
    """An error of the function leaves the call unchanged, and nothing is stored."""
    own = KeyError("own")

    @transactional(sync_maker, SyncNotes, attempts=3)
    def write(notes: SyncNotes) -> None:
        notes.add("a")
        raise own

    with pytest.raises(KeyError) as caught:
        write()
    assert caught.value is own
    assert not hasattr(own, "__notes__")
    assert stored(sync_database) == []


@on_sqlite
def test_the_scope_is_given_to_who_asks_for_it(sync_maker):
    """Without services a first parameter named or annotated as a scope gets it."""

    @transactional(sync_maker)
    def by_type(tx: Scope[Session], n: int) -> tuple[bool, int]:
        return tx is current_scope(sync_maker), n

    @transactional(sync_maker)
    def by_name(scope, n):
        return scope is current_scope(sync_maker), n

    @transactional(sync_maker)
    def without(n: int) -> int:
        return n

    assert (by_type(1), by_name(2), without(3)) == ((True, 1), (True, 2), 3)


@on_sqlite
def test_the_decorated_function_looks_like_itself(sync_maker):
    """Name, docstring and the signature that is left are there for frameworks to read."""

    @transactional(sync_maker, SyncNotes)
    def book(notes: SyncNotes, user_id: int, *, name: str = "Vanya") -> str:
        """Book it."""
        return name

    assert (book.__name__, book.__doc__) == ("book", "Book it.")
    assert list(inspect.signature(book).parameters) == ["user_id", "name"]


@on_sqlite
def test_a_call_inside_a_scope_joins_it(sync_maker, sync_database):
    """A decorated function called in an open scope is a part of that scope."""

    @transactional(sync_maker, SyncNotes)
    def write(notes: SyncNotes, name: str) -> None:
        notes.add(name)

    with scoped_services(sync_maker, SyncNotes) as notes:
        notes.add("a")
        write("b")
        assert stored(sync_database) == []
    assert stored(sync_database) == ["a", "b"]


@on_sqlite
def test_options_hold_for_the_call(sync_maker):
    """The decorator's options are those of a scope."""

    @transactional(sync_maker, read_only=True, propagation="never")
    def look(scope: Scope[Session]) -> bool:
        return scope._options.read_only

    assert look()
    with scoped_services(sync_maker), pytest.raises(ValueError, match="never"):
        look()


class Conflicts:
    """Raises what the database raises, a number of times."""

    def __init__(self, maker: sessionmaker[Session], times: int) -> None:
        self.maker = maker
        self.left = times
        self.sessions: list[Session] = []
        self.services: list[SyncNotes] = []

    def __call__(self, notes: SyncNotes) -> None:
        self.sessions.append(notes.session)
        self.services.append(notes)
        if self.left:
            self.left -= 1
            notes.session.execute(
                text("DO $$ BEGIN RAISE EXCEPTION 'conflict' USING ERRCODE = '40001'; END $$")
            )


@on_postgres
def test_it_is_run_again_as_a_whole(sync_maker, sync_database):
    """Each attempt has a fresh session and fresh services; the work is stored once."""
    conflicts = Conflicts(sync_maker, 2)

    @transactional(sync_maker, SyncNotes, attempts=5)
    def write(notes: SyncNotes) -> str:
        notes.add("a")
        conflicts(notes)
        return "stored"

    assert write() == "stored"
    assert len(conflicts.sessions) == 3
    assert len({id(session) for session in conflicts.sessions}) == 3
    assert len({id(service) for service in conflicts.services}) == 3
    assert stored(sync_database) == ["a"]


@on_postgres
def test_only_the_last_attempts_hooks_run(sync_maker):
    """on_commit runs once, for the attempt that was stored; on_rollback for each that was not."""
    conflicts = Conflicts(sync_maker, 2)
    seen = []

    @transactional(sync_maker, SyncNotes, attempts=5)
    def write(notes: SyncNotes) -> None:
        scope = current_scope(sync_maker)
        scope.on_commit(lambda: seen.append("commit"))
        scope.on_rollback(lambda: seen.append("rollback"))
        conflicts(notes)

    write()
    assert seen == ["rollback", "rollback", "commit"]


@on_postgres
def test_the_last_error_leaves_with_the_number_of_attempts(sync_maker, sync_engine):
    """When all attempts fail, the last error leaves unwrapped, and a note counts the attempts."""
    conflicts = Conflicts(sync_maker, 99)

    @transactional(sync_maker, SyncNotes, attempts=3)
    def write(notes: SyncNotes) -> None:
        conflicts(notes)

    with pytest.raises(DBAPIError) as caught:
        write()
    assert len(conflicts.sessions) == 3
    assert caught.value.orig.sqlstate == "40001"
    assert any("attempt 3" in note for note in caught.value.__notes__)
    assert sync_engine.pool.checkedout() == 0


@on_postgres
def test_one_attempt_is_the_default(sync_maker):
    """Nothing is run again unless it is asked for."""
    conflicts = Conflicts(sync_maker, 1)

    @transactional(sync_maker, SyncNotes)
    def write(notes: SyncNotes) -> None:
        conflicts(notes)

    with pytest.raises(DBAPIError):
        write()
    assert len(conflicts.sessions) == 1


@on_postgres
def test_a_swallowed_conflict_is_retried(sync_maker, sync_database):
    """RollbackOnlyError because of a swallowed 40001 is as retryable as its cause."""
    conflicts = Conflicts(sync_maker, 1)

    @transactional(sync_maker, SyncNotes, attempts=3)
    def write(notes: SyncNotes) -> None:
        notes.add("a")
        with suppress(DBAPIError):
            conflicts(notes)

    write()
    assert stored(sync_database) == ["a"]


@on_postgres
def test_a_joined_call_is_never_retried(sync_maker):
    """Inside an open scope only the outermost function could be run again."""
    conflicts = Conflicts(sync_maker, 1)

    @transactional(sync_maker, SyncNotes, attempts=5)
    def write(notes: SyncNotes) -> None:
        conflicts(notes)

    with pytest.raises(DBAPIError), scoped_services(sync_maker):
        write()
    assert len(conflicts.sessions) == 1


@on_postgres
@pytest.mark.parametrize("propagation", ["nested", "mandatory"])
def test_neither_is_a_part_of_a_scope(sync_maker, propagation):
    """A savepoint or a mandatory join cannot be run again by itself."""
    conflicts = Conflicts(sync_maker, 1)

    @transactional(sync_maker, SyncNotes, attempts=5, propagation=propagation)
    def write(notes: SyncNotes) -> None:
        conflicts(notes)

    with pytest.raises(DBAPIError), scoped_services(sync_maker):
        write()
    assert len(conflicts.sessions) == 1


@on_postgres
def test_an_independent_call_inside_a_scope_is_retried(sync_maker, sync_database):
    """`requires_new` has its own transaction, which can be run again."""
    conflicts = Conflicts(sync_maker, 1)

    @transactional(sync_maker, SyncNotes, attempts=5, propagation="requires_new")
    def write(notes: SyncNotes) -> None:
        notes.add("b")
        conflicts(notes)

    with scoped_services(sync_maker, SyncNotes) as notes:
        notes.add("a")
        write()
    assert stored(sync_database) == ["a", "b"]


@pytest.mark.parametrize(
    "error",
    [KeyError(), IntegrityError("INSERT", {}, Exception()), OSError(), TimeoutError()],
    ids=lambda error: type(error).__name__,
)
@on_sqlite
def test_other_errors_are_not_retried(sync_maker, error):
    """An application's error, a violated constraint, an OSError from anywhere: once is enough."""
    calls = []

    @transactional(sync_maker, attempts=5)
    def write() -> None:
        calls.append(1)
        raise error

    with pytest.raises(type(error)):
        write()
    assert calls == [1]


@on_sqlite
def test_failing_callbacks_are_not_retried(sync_maker, sync_database):
    """The data is stored: running the function again would store it twice."""
    calls = []

    def fail() -> None:
        raise OperationalError("", {}, Exception())

    @transactional(sync_maker, SyncNotes, attempts=5)
    def write(notes: SyncNotes) -> None:
        calls.append(1)
        notes.add("a")
        current_scope(sync_maker).on_commit(fail)

    with pytest.raises(CommitCallbackError):
        write()
    assert calls == [1]
    assert stored(sync_database) == ["a"]


@pytest.fixture
def two_notes(sync_maker):
    """Store notes 1 and 2, and an author."""
    with scoped_services(sync_maker) as scope:
        scope.session.add_all([Note(text="one"), Note(text="two"), Author(name="Vanya")])


@on_postgres
def test_write_skew_is_retried(two_notes, sync_maker, sync_database):
    """Two SERIALIZABLE functions that read what the other one writes: both are stored at last."""
    both_have_read = threading.Barrier(2)
    attempts = []

    @transactional(sync_maker, SyncNotes, attempts=10, isolation_level="SERIALIZABLE")
    def write(notes: SyncNotes, name: str) -> int:
        seen = len(notes.session.scalars(select(Note)).all())
        attempts.append(name)
        if len(attempts) <= 2:
            both_have_read.wait(5)
        notes.add(f"{name} saw {seen}")
        return seen

    with ThreadPoolExecutor(2) as threads:
        results = [done.result(20) for done in [threads.submit(write, n) for n in "ab"]]
    assert sorted(results) == [2, 3]
    assert len(attempts) > 2
    assert len(stored(sync_database)) == 4


@on_servers
def test_a_deadlock_is_retried(two_notes, sync_maker, sync_engine, sync_database):
    """The one that the database gives up is run again and stored."""
    attempts = []
    with stronger_rival(sync_engine, sync_database) as rival:

        @transactional(sync_maker, attempts=3)
        def write(scope: Scope[Session]) -> None:
            attempts.append(1)
            if len(attempts) == 2:
                rival.give_up()
            scope.session.execute(update(Note).where(Note.text == "one").values(text="changed 1"))
            if len(attempts) == 1:
                rival.attack()
            scope.session.execute(update(Note).where(Note.text == "two").values(text="changed 2"))

        write()
    assert attempts == [1, 1]
    assert stored(sync_database) == ["changed 1", "changed 2"]


@on_servers
def test_a_connection_lost_before_commit_is_retried(sync_maker, sync_database):
    """A killed connection costs one attempt."""
    attempts = []

    @transactional(sync_maker, SyncNotes, attempts=3)
    def write(notes: SyncNotes) -> None:
        attempts.append(1)
        notes.add("a")
        if len(attempts) == 1:
            kill(sync_database, server_id(notes.session))
            notes.add("b")

    write()
    assert len(attempts) == 2
    assert stored(sync_database) == ["a"]


@on_servers
def test_an_unknown_outcome_is_never_retried(proxied):
    """After COMMIT was sent and its answer lost, running again could store twice."""
    from sqla_safe import configure

    configure(proxied.maker, resolve_commit=False)
    attempts = []

    @transactional(proxied.maker, SyncNotes, attempts=5)
    def write(notes: SyncNotes) -> None:
        attempts.append(1)
        notes.add(f"a {len(attempts)}")
        proxied.proxy.mischief = "cut_after_commit"

    with pytest.raises(CommitOutcomeUnknownError):
        write()
    assert attempts == [1]


@on_sqlite
def test_a_busy_sqlite_is_retried(sync_database, make_engine):
    """A writer that could not have the lock in time is run again."""
    from tests.integration.scopes.models import create_tables

    create_tables(sync_database)
    engine = prepare_sqlite(make_engine(sync_database), busy_timeout=0.01)
    maker = sessionmaker(engine)
    attempts = []

    with engine.connect() as rival:
        rival.execute(text("SELECT 1"))  # BEGIN IMMEDIATE: holds the write lock

        @transactional(maker, SyncNotes, attempts=5)
        def write(notes: SyncNotes) -> None:
            attempts.append(1)
            if len(attempts) == 2:
                rival.rollback()
            notes.add("a")

        write()
    assert len(attempts) == 2
    assert stored(sync_database) == ["a"]


@on_mysql
def test_a_lock_timeout_is_retryable(two_notes, sync_maker, sync_engine):
    """MySQL 1205 is one of the errors that may go away."""
    with (
        sync_engine.connect() as rival,
        pytest.raises(OperationalError) as caught,
        scoped_services(sync_maker) as scope,
    ):
        rival.execute(text("UPDATE note SET author_id = NULL WHERE id = 2"))
        scope.session.execute(text("SET innodb_lock_wait_timeout = 0"))
        scope.session.execute(text("UPDATE note SET text = 'changed' WHERE id = 2"))
    assert is_retryable(caught.value)


def test_what_is_retryable_and_what_is_not():
    """The application's own errors are not, and neither is a group that holds one."""
    assert not is_retryable(KeyError())
    assert not is_retryable(KeyboardInterrupt())
    assert not is_retryable(RollbackOnlyError(opened_at="a", reason="b", where=None))
    assert not is_retryable(CommitOutcomeUnknownError(opened_at="a", transaction_id=None))
    assert not is_retryable(ExceptionGroup("", [KeyError()]))
