"""Fixtures: engines that can sleep, and a sessionmaker whose connections go through a proxy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from sqlalchemy import Engine, make_url, text
from sqlalchemy.orm import Session, sessionmaker

from sqla_safe import scoped_services
from tests.conftest import MakeEngine
from tests.databases import Database
from tests.integration.scopes.models import create_tables
from tests.integration.scopes.sync_.proxy import Proxy, proxy_to
from tests.integration.scopes.sync_.support import teach_sqlite_to_sleep, until


@pytest.fixture
def sync_engine(sync_database: Database, make_engine: MakeEngine) -> Engine:
    """Give an engine with a pool of five on `sync_database`, on which a statement can sleep."""
    engine = make_engine(sync_database)
    if sync_database.dialect == "sqlite":
        teach_sqlite_to_sleep(engine)
    return engine


@dataclass(frozen=True)
class Proxied:
    """A database behind a proxy.

    Attributes:
        maker: Makes sessions whose connections go through the proxy.
        engine: Its engine.
        proxy: The proxy.
        database: The database, reached by its probe without the proxy.
    """

    maker: sessionmaker[Session]
    engine: Engine
    proxy: Proxy
    database: Database


@pytest.fixture
def proxied(sync_database: Database, make_engine: MakeEngine) -> Iterator[Proxied]:
    """Give a database behind a proxy; afterwards the pool is full and the next scope works."""
    create_tables(sync_database)
    url = make_url(sync_database.url)
    with proxy_to(url.port) as proxy:
        through = url.set(port=proxy.port).render_as_string(hide_password=False)
        engine = make_engine(replace(sync_database, url=through))
        maker = sessionmaker(engine)
        yield Proxied(maker, engine, proxy, sync_database)
        proxy.behave()
        assert engine.pool.checkedout() == 0
        until(lambda: sync_database.probe.idle_in_transaction() == 0)
        with scoped_services(maker) as scope:
            assert scope.session.scalar(text("SELECT count(*) FROM note")) is not None
        assert engine.pool.checkedout() == 0
        engine.dispose()
