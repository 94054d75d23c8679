"""Fixtures: a sessionmaker whose connections go through a proxy that can misbehave."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from sqla_safe import scoped_services
from tests.conftest import MakeAsyncEngine
from tests.databases import Database
from tests.integration.scopes.async_.support import until
from tests.integration.scopes.models import create_tables
from tests.proxy import Proxy, proxy_to


@dataclass(frozen=True)
class Proxied:
    """A database behind a proxy.

    Attributes:
        maker: Makes sessions whose connections go through the proxy.
        engine: Its engine.
        proxy: The proxy.
        database: The database, reached by its probe without the proxy.
    """

    maker: async_sessionmaker[AsyncSession]
    engine: AsyncEngine
    proxy: Proxy
    database: Database


@pytest.fixture
async def proxied(
    async_database: Database, make_async_engine: MakeAsyncEngine
) -> AsyncIterator[Proxied]:
    """Give a database behind a proxy; afterwards the pool is full and the next scope works."""
    create_tables(async_database)
    url = make_url(async_database.url)
    async with proxy_to(url.port) as proxy:
        through = url.set(port=proxy.port).render_as_string(hide_password=False)
        engine = make_async_engine(replace(async_database, url=through))
        maker = async_sessionmaker(engine)
        yield Proxied(maker, engine, proxy, async_database)
        proxy.accept()
        proxy.resume()
        assert engine.pool.checkedout() == 0
        await until(lambda: async_database.probe.idle_in_transaction() == 0)
        async with scoped_services(maker) as scope:
            assert await scope.session.scalar(text("SELECT count(*) FROM note")) is not None
        assert engine.pool.checkedout() == 0
        await engine.dispose()
