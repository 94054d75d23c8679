"""What mypy --strict and pyright must infer of dishka's and svcs' integrations; not to be run."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import assert_type

import svcs
from dishka import make_async_container
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker

from sqla_safe import inject
from sqla_safe.ext.dishka import ScopeProvider
from sqla_safe.ext.svcs import add_scope, scoped_container
from sqla_safe.scopes import AsyncScope


class Users:
    """A service."""

    def __init__(self, session: AsyncSession) -> None: ...


class Needy:
    """A service that needs more than the session."""

    def __init__(self, session: AsyncSession, zone: str) -> None: ...


class SyncUsers:
    """A sync service."""

    def __init__(self, session: Session) -> None: ...


maker = async_sessionmaker(create_async_engine("sqlite+aiosqlite://"))
sync_maker = sessionmaker(create_engine("sqlite://"))

make_async_container(ScopeProvider(maker, Users, inject(Needy, zone="UTC"), read_only=True))
ScopeProvider(sync_maker, SyncUsers, component="other", timeout=5)

registry = svcs.Registry()
assert_type(scoped_container(registry, maker, Users), AbstractAsyncContextManager[svcs.Container])
assert_type(
    scoped_container(registry, sync_maker, SyncUsers, read_only=True),
    AbstractContextManager[svcs.Container],
)


def by_hand(container: svcs.Container, scope: AsyncScope[AsyncSession]) -> None:
    """Give a container a scope."""
    add_scope(container, scope, Users, inject(Needy, zone="UTC"))
