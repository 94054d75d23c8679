"""Rule 3: an independent scope that can never get its connection fails at once and says so."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import sessionmaker
from sqlalchemy.pool import NullPool, SingletonThreadPool, StaticPool

from sqla_safe import PoolExhaustedError, prepare_sqlite, scoped_services
from tests.integration.scopes.sync_.support import on_servers
from tests.integration.scopes.watching import here
from tests.patience import in_time

SELECT = text("SELECT 1")


def test_a_pool_of_one_is_refused_at_once(sync_database, make_engine):
    """The task that holds the only connection is told so, long before the pool's timeout."""
    engine = make_engine(sync_database, pool_size=1, pool_timeout=30)
    maker = sessionmaker(engine)
    begun = time.monotonic()
    with scoped_services(maker) as outer:
        outer.session.execute(SELECT)
        with (
            pytest.raises(PoolExhaustedError) as caught,
            scoped_services(maker, propagation="requires_new") as inner,
        ):
            opened = here(-2)
            inner.session.execute(SELECT)
        assert outer.session.scalar(SELECT) == 1
    in_time(begun, 0)
    assert opened in str(caught.value)
    assert "holds all 1" in str(caught.value)
    assert isinstance(caught.value, PoolTimeoutError)
    assert outer.outcome == "committed"
    assert engine.pool.checkedout() == 0
    with scoped_services(maker, propagation="requires_new") as scope:
        assert scope.session.scalar(SELECT) == 1


def test_overflow_counts(sync_database, make_engine):
    """A pool of one that may overflow by one has room for one independent scope."""
    engine = make_engine(sync_database, pool_size=1, max_overflow=1, pool_timeout=30)
    maker = sessionmaker(engine)
    with scoped_services(maker) as outer:
        outer.session.execute(SELECT)
        with scoped_services(maker, propagation="requires_new") as second:
            second.session.execute(SELECT)
            with (
                pytest.raises(PoolExhaustedError, match="holds all 2"),
                scoped_services(maker, propagation="requires_new") as third,
            ):
                third.session.execute(SELECT)
    assert engine.pool.checkedout() == 0


def test_an_outer_scope_that_holds_nothing_is_no_obstacle(sync_database, make_engine):
    """Before its first statement the outer scope has no connection."""
    maker = sessionmaker(make_engine(sync_database, pool_size=1))
    with scoped_services(maker), scoped_services(maker, propagation="requires_new") as inner:
        assert inner.session.scalar(SELECT) == 1


def test_the_outer_scope_may_give_its_connection_back(sync_database, make_engine):
    """After `scope.commit()` a pool of one is free for the independent scope."""
    maker = sessionmaker(make_engine(sync_database, pool_size=1))
    with scoped_services(maker) as outer:
        outer.session.execute(SELECT)
        outer.commit()
        with scoped_services(maker, propagation="requires_new") as inner:
            assert inner.session.scalar(SELECT) == 1


@pytest.mark.parametrize("pool", [StaticPool, SingletonThreadPool], ids=lambda p: p.__name__)
def test_a_pool_that_shares_its_one_connection_is_refused(pool):
    """On such a pool an independent scope would be the same transaction."""
    maker = sessionmaker(prepare_sqlite(create_engine("sqlite://", poolclass=pool)))
    with scoped_services(maker) as outer:
        outer.session.execute(SELECT)
        with (
            pytest.raises(PoolExhaustedError, match=pool.__name__),
            scoped_services(maker, propagation="requires_new") as inner,
        ):
            inner.session.execute(SELECT)
    maker.kw["bind"].dispose()


@pytest.mark.parametrize("pool", [StaticPool, SingletonThreadPool], ids=lambda p: p.__name__)
def test_such_a_pool_serves_an_independent_scope_that_is_alone(pool):
    """`requires_new` with nothing around it needs no second connection."""
    maker = sessionmaker(prepare_sqlite(create_engine("sqlite://", poolclass=pool)))
    with scoped_services(maker, propagation="requires_new") as scope:
        assert scope.session.scalar(SELECT) == 1
    maker.kw["bind"].dispose()


@on_servers
def test_a_pool_without_limit_is_never_exhausted(sync_database):
    """NullPool gives every scope a connection of its own."""
    maker = sessionmaker(create_engine(sync_database.url, poolclass=NullPool))
    with scoped_services(maker) as outer:
        outer.session.execute(SELECT)
        with scoped_services(maker, propagation="requires_new") as inner:
            assert inner.session.scalar(SELECT) == 1


def test_a_busy_pool_is_waited_for(sync_database, make_engine):
    """When others hold connections that they will give back, an independent scope waits."""
    engine = make_engine(sync_database, pool_size=2, pool_timeout=10)
    maker = sessionmaker(engine)
    held, go = threading.Event(), threading.Event()

    def other() -> None:
        with scoped_services(maker) as scope:
            scope.session.execute(SELECT)
            held.set()
            go.wait(5)

    with ThreadPoolExecutor() as threads, scoped_services(maker) as outer:
        done = threads.submit(other)
        held.wait(5)
        outer.session.execute(SELECT)
        threading.Timer(0.1, go.set).start()
        with scoped_services(maker, propagation="requires_new") as inner:
            assert inner.session.scalar(SELECT) == 1
        done.result(5)
    assert engine.pool.checkedout() == 0


def test_five_threads_that_wait_for_each_other_are_not_stuck(sync_database, make_engine):
    """Five connections, five threads that hold one and want another: refused or served, at once."""
    engine = make_engine(sync_database, pool_size=5, pool_timeout=30)
    maker = sessionmaker(engine)
    everybody_holds_one = threading.Barrier(5)

    def work() -> str:
        with scoped_services(maker) as outer:
            outer.session.execute(SELECT)
            everybody_holds_one.wait(30)
            try:
                with scoped_services(maker, propagation="requires_new") as inner:
                    inner.session.execute(SELECT)
            except PoolExhaustedError as error:
                return "refused" if "wait for one more" in str(error) else str(error)
            return "served"

    begun = time.monotonic()
    with ThreadPoolExecutor(5) as threads:
        results = [done.result(20) for done in [threads.submit(work) for _ in range(5)]]
    in_time(begun, 0)
    assert set(results) == {"refused", "served"}
    assert engine.pool.checkedout() == 0
    with scoped_services(maker) as scope:
        assert scope.session.scalar(SELECT) == 1
