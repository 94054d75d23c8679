"""An exception at every line that a sync scope runs, as a signal handler may raise one.

Whatever line of ours it comes at: nothing is half stored, a scope knows what became of it, the
next scope is a new one and is stored, and no connection stays out of the pool. On SQLite only:
servers need the watchdog, and CPython 3.11 loses its stack when a tracer raises where `with` ends.

At a line of SQLAlchemy's a connection may be lost; what became of the scope is known all the same.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import text
from sqlalchemy.engine import RootTransaction
from sqlalchemy.orm import Session, sessionmaker

import sqla_safe
from sqla_safe import (
    CommitOutcomeUnknownError,
    RollbackOnlyError,
    Scope,
    prepare_sqlite,
    scoped_services,
)
from tests.faults.conftest import IS_SOAK

INSERT = text("INSERT INTO part (op, n) VALUES (:op, :n)")
OURS, THEIRS = (str(Path(module.__file__ or "").parent) for module in (sqla_safe, sqlalchemy))
NEEDS_A_SAFE_TRACER = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="CPython 3.11 may crash where a tracer raises"
)
HONEST = {"committed": (2,), "unknown": (0, 2), "rolled_back": (0,), None: (0,)}
"""How many rows may be there, by what a scope says."""


class Struck(BaseException):
    """What a signal handler raises."""


class Strike:
    """Raises at one line of a package."""

    def __init__(self, at: int, package: str = OURS) -> None:
        self.left, self.package = at, package
        self.line: str | None = None

    def trace(self, frame: FrameType, event: str, _: object) -> Callable[..., Any] | None:
        """Count the package's lines, and raise at the one that is meant."""
        if self.line is not None or not frame.f_code.co_filename.startswith(self.package):
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                self.line = f"{frame.f_code.co_qualname}:{frame.f_lineno}"
                raise Struck
        return self.trace


class Service:
    """Writes with the scope's session."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def write(self, op: int, n: int) -> None:
        """Write one row."""
        self.session.execute(INSERT, {"op": op, "n": n})


def one_scope(maker: Any, op: int, scopes: list[Scope[Any]]) -> None:
    """Write two rows through a service."""
    with scoped_services(maker, Service) as service:
        scopes.append(sqla_safe.current_scope(maker))
        service.write(op, 1)
        service.write(op, 2)


def joined(maker: Any, op: int, scopes: list[Scope[Any]]) -> None:
    """Write one row in each of two blocks that share a transaction."""
    with scoped_services(maker) as scope:
        scopes.append(scope)
        scope.session.execute(INSERT, {"op": op, "n": 1})
        with scoped_services(maker, Service) as service:
            service.write(op, 2)


def savepoint(maker: Any, op: int, scopes: list[Scope[Any]]) -> None:
    """Write two rows in a savepoint."""
    with scoped_services(maker) as scope:
        scopes.append(scope)
        with scoped_services(maker, propagation="nested") as inner:
            inner.session.execute(INSERT, {"op": op, "n": 1})
            inner.session.execute(INSERT, {"op": op, "n": 2})


def with_callback(maker: Any, op: int, scopes: list[Scope[Any]]) -> None:
    """Write two rows and call back."""
    with scoped_services(maker, timeout=30) as scope:
        scopes.append(scope)
        scope.on_commit(lambda: None)
        scope.session.execute(INSERT, {"op": op, "n": 1})
        scope.session.execute(INSERT, {"op": op, "n": 2})


@pytest.fixture
def maker(sync_database, make_engine):
    """Give a sessionmaker with one connection, and the table of parts."""
    sync_database.probe.execute("CREATE TABLE part (op integer NOT NULL, n integer NOT NULL)")
    engine = make_engine(sync_database, pool_size=1, max_overflow=0, pool_timeout=1)
    if sync_database.dialect == "sqlite":
        prepare_sqlite(engine, busy_timeout=0.2)
    return sessionmaker(engine)


def struck(strike: Strike, scenario: Any, maker: Any, op: int, scopes: list[Scope[Any]]) -> None:
    """Run a scenario that is struck somewhere."""
    before = sys.gettrace()
    sys.settrace(strike.trace)
    try:
        scenario(maker, op, scopes)
    except (Struck, RollbackOnlyError):
        pass
    finally:
        sys.settrace(before)


@NEEDS_A_SAFE_TRACER
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "scenario",
    [one_scope, joined, savepoint, with_callback],
    ids=lambda scenario: scenario.__name__,
)
@pytest.mark.parametrize("sync_database", ["sqlite3"], indirect=True)
@pytest.mark.usefixtures("silent_finalisers")
def test_every_line_struck(sync_database, maker, scenario, figures):
    """After an exception at any line of ours the next scope is whole, and so was the struck one."""
    pool, wrong, at = maker.kw["bind"].pool, [], 0
    said: dict[int, tuple[str, str | None]] = {}
    while True:
        at += 1
        scopes: list[Scope[Any]] = []
        strike = Strike(at)
        struck(strike, scenario, maker, at, scopes)
        if strike.line is None:
            break
        said[at] = strike.line, scopes[0].outcome if scopes else None
        del scopes
        if pool.checkedout():
            gc.collect()
        if pool.checkedout():
            wrong.append(f"{strike.line}: a connection is out")
        try:
            one_scope(maker, -at, [])
        except Exception as error:
            wrong.append(f"{strike.line}: the next scope failed with {error!r}")
    stored = dict(sync_database.probe.rows("SELECT op, count(*) FROM part GROUP BY op"))
    for op, (line, outcome) in said.items():
        if stored.get(-op) != 2:
            wrong.append(f"{line}: the next scope was not stored")
        if stored.get(op, 0) not in HONEST[outcome]:
            wrong.append(f"{line}: {outcome}, {stored.get(op, 0)} rows stored")
    figures(f"{at - 1} lines", wrong=len(wrong))
    assert wrong == [], "\n".join(wrong)
    assert at > 20


@NEEDS_A_SAFE_TRACER
@pytest.mark.timeout(600)
@pytest.mark.parametrize("sync_database", ["sqlite3", "psycopg", "pymysql"], indirect=True)
@pytest.mark.usefixtures("silent_finalisers")
def test_every_line_of_sqlalchemy_struck(sync_database, make_engine, figures):
    """An exception at any line of SQLAlchemy, while a scope ends, leaves its outcome right.

    A quick run strikes every ninth line.
    """
    step = 1 if IS_SOAK else 9
    sync_database.probe.execute("CREATE TABLE part (op integer NOT NULL, n integer NOT NULL)")
    said: dict[int, tuple[str, str | None]] = {}
    at = 1
    while struck_at_the_end(sync_database, make_engine, at, said):
        at += step
    stored = dict(sync_database.probe.rows("SELECT op, count(*) FROM part GROUP BY op"))
    wrong = [
        f"{line}: {outcome}, {stored.get(op, 0)} rows stored"
        for op, (line, outcome) in said.items()
        if stored.get(op, 0) not in HONEST[outcome]
    ]
    unknown = sum(outcome == "unknown" for _, outcome in said.values())
    figures(f"{len(said)} lines", wrong=len(wrong), unknown=unknown)
    assert wrong == [], "\n".join(wrong)
    assert at > 100


def struck_at_the_end(
    database: Any, make_engine: Any, at: int, said: dict[int, tuple[str, str | None]]
) -> bool:
    """Strike a scope on an engine of its own as it ends; false when it was over before."""
    engine = make_engine(database)
    if database.dialect == "sqlite":
        prepare_sqlite(engine, busy_timeout=0.2)
    strike, before = Strike(at, THEIRS), sys.gettrace()
    try:
        with scoped_services(sessionmaker(engine)) as scope:
            scope.session.execute(INSERT, {"op": at, "n": 1})
            scope.session.execute(INSERT, {"op": at, "n": 2})
            sys.settrace(strike.trace)
    except Struck:
        pass
    finally:
        sys.settrace(before)
    if strike.line is not None:
        said[at] = strike.line, scope.outcome
    del scope
    gc.collect()
    one_scope(sessionmaker(engine), -at, [])  # which may get the same connection
    engine.dispose()
    return strike.line is not None


@pytest.mark.parametrize(
    ("sync_database", "outcome"),
    [("sqlite3", "committed"), ("psycopg", "committed"), ("pymysql", "unknown")],
    indirect=["sync_database"],
)
def test_struck_between_commit_and_its_note(sync_database, maker, outcome, monkeypatch):
    """COMMIT is done and SQLAlchemy has not noted it yet: the driver is asked."""

    def interrupted(_: RootTransaction) -> None:
        monkeypatch.undo()
        raise Struck

    with pytest.raises(Struck), scoped_services(maker) as scope:
        scope.session.execute(INSERT, {"op": 1, "n": 1})
        monkeypatch.setattr(RootTransaction, "_deactivate_from_connection", interrupted)
    assert scope.outcome == outcome
    assert sync_database.probe.scalar("SELECT count(*) FROM part") == 1
    assert maker.kw["bind"].pool.checkedout() == 0


@pytest.mark.parametrize("sync_database", ["sqlite3", "psycopg", "pymysql"], indirect=True)
def test_struck_before_commit(sync_database, maker, monkeypatch):
    """SQLAlchemy has done with the transaction and COMMIT was never sent: it is rolled back.

    Nor does the next scope store it, which gets the same connection.
    """

    def interrupted(_: RootTransaction) -> None:
        monkeypatch.undo()
        raise Struck

    with pytest.raises(Struck), scoped_services(maker) as scope:
        scope.session.execute(INSERT, {"op": 1, "n": 1})
        monkeypatch.setattr(RootTransaction, "_connection_commit_impl", interrupted)
    assert scope.outcome == "rolled_back"
    one_scope(maker, 2, [])
    assert sync_database.probe.rows("SELECT op, count(*) FROM part GROUP BY op") == [(2, 2)]
    assert maker.kw["bind"].pool.checkedout() == 0


@pytest.mark.parametrize("sync_database", ["psycopg", "pymysql"], indirect=True)
def test_struck_while_the_answer_is_awaited(sync_database, maker, monkeypatch):
    """What a driver remembers of the last answer says nothing of COMMIT."""

    def interrupted(_: Any, connection: Any) -> None:
        monkeypatch.undo()
        with connection.cursor() as cursor:
            cursor.execute("COMMIT")
        if sync_database.driver == "pymysql":
            connection.driver_connection.server_status |= 1
        raise TimeoutError

    monkeypatch.setattr(type(maker.kw["bind"].dialect), "do_commit", interrupted)
    with suppress(TimeoutError, CommitOutcomeUnknownError), scoped_services(maker) as scope:
        scope.session.execute(INSERT, {"op": 1, "n": 1})
    assert scope.outcome == {"psycopg": "committed", "pymysql": "unknown"}[sync_database.driver]
    assert sync_database.probe.scalar("SELECT count(*) FROM part") == 1


class Interrupted(Session):
    """Is struck when the database has prepared the transaction, and not committed it."""

    def commit(self) -> None:
        """Prepare, and go no further."""
        self.prepare()
        raise Struck


@pytest.mark.parametrize("sync_database", ["psycopg"], indirect=True)
def test_struck_between_the_two_phases(sync_database, maker):
    """A driver without a transaction does not mean that what was prepared is stored."""
    halfway = sessionmaker(maker.kw["bind"], class_=Interrupted, twophase=True)
    with pytest.raises(Struck), scoped_services(halfway) as scope:
        scope.session.execute(INSERT, {"op": 1, "n": 1})
    assert scope.outcome == "rolled_back"
    assert sync_database.probe.scalar("SELECT count(*) FROM part") == 0
    assert sync_database.probe.scalar("SELECT count(*) FROM pg_prepared_xacts") == 0
