"""An exception at every line that a sync scope runs, as a signal handler may raise one.

Whatever line of ours it comes at: nothing is half stored, a scope knows what became of it, the
next scope is a new one and is stored, and no connection stays out of the pool. On SQLite only:
servers need the watchdog, and CPython 3.11 loses its stack when a tracer raises where `with` ends.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

import sqla_safe
from sqla_safe import RollbackOnlyError, Scope, prepare_sqlite, scoped_services

INSERT = text("INSERT INTO part (op, n) VALUES (:op, :n)")
OURS = str(Path(sqla_safe.__file__).parent)


class Struck(BaseException):
    """What a signal handler raises."""


class Strike:
    """Raises at one line of ours."""

    def __init__(self, at: int) -> None:
        self.left = at
        self.line: str | None = None

    def trace(self, frame: FrameType, event: str, _: object) -> Callable[..., Any] | None:
        """Count the lines of ours, and raise at the one that is meant."""
        if self.line is not None or not frame.f_code.co_filename.startswith(OURS):
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


@pytest.mark.skipif(
    sys.version_info < (3, 12), reason="CPython 3.11 may crash where a tracer raises"
)
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
        honest = {"committed": (2,), "unknown": (0, 2)}.get(outcome or "", (0,))
        if stored.get(op, 0) not in honest:
            wrong.append(f"{line}: {outcome}, {stored.get(op, 0)} rows stored")
    figures(f"{at - 1} lines", wrong=len(wrong))
    assert wrong == [], "\n".join(wrong)
    assert at > 20
