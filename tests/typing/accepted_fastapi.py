"""What mypy --strict and pyright must infer of the FastAPI integration; not to be run."""

from __future__ import annotations

from typing import Annotated, assert_type

from fastapi import FastAPI
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker

from sqla_safe import AsyncScope, Scope, inject
from sqla_safe.ext.fastapi import Services, StreamServices, depends, setup_scopes


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
app = FastAPI()
setup_scopes(app, maker)
setup_scopes(app, maker, inject(Needy, zone="UTC"))
setup_scopes(app, sync_maker)

ReadOnly = Annotated[Users, depends(maker, Users, read_only=True, isolation_level="SERIALIZABLE")]
Streamed = Annotated[Users, depends(maker, inject(Users), stream=True, timeout=5)]
OfSync = Annotated[SyncUsers, depends(sync_maker, SyncUsers)]
Own = Annotated[AsyncScope[AsyncSession], depends(maker)]


@app.get("/")
async def endpoint(
    *,
    users: Services[Users],
    scope: Services[AsyncScope[AsyncSession]],
    session: Services[AsyncSession],
    streamed: StreamServices[Users],
    read_only: ReadOnly,
    own: Own,
) -> None:
    """See the types of parameters."""
    assert_type(users, Users)
    assert_type(scope, AsyncScope[AsyncSession])
    assert_type(session, AsyncSession)
    assert_type(streamed, Users)
    assert_type(read_only, Users)
    assert_type(own, AsyncScope[AsyncSession])


@app.get("/sync")
def sync_endpoint(users: OfSync, scope: Services[Scope[Session]]) -> None:
    """See the types of sync parameters."""
    assert_type(users, SyncUsers)
    assert_type(scope.session, Session)
