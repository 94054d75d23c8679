"""What mypy --strict and pyright must refuse of the integrations; not to be run."""

from __future__ import annotations

import svcs
from fastapi import FastAPI
from redis.asyncio import Redis
from sqlalchemy import create_engine

from sqla_safe.ext.dishka import ScopeProvider
from sqla_safe.ext.fastapi import depends, setup_scopes
from sqla_safe.ext.pytest import assert_statements, rolled_back
from sqla_safe.ext.redis import SnapshotCache
from sqla_safe.ext.svcs import scoped_container
from tests.typing.accepted_containers import Needy, SyncUsers, Users, maker, sync_maker

engine = create_engine("sqlite://")

setup_scopes(FastAPI(), engine)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
depends(engine)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
depends(maker, timeout="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
rolled_back(engine)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
rolled_back(maker, on_commit="later")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
assert_statements("2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
ScopeProvider(engine)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
scoped_container(svcs.Registry(), maker, Needy)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
scoped_container(svcs.Registry(), sync_maker, Users)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
scoped_container(svcs.Registry(), maker, SyncUsers)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
SnapshotCache(Redis(), Users)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
