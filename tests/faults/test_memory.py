"""Scopes in a row and dropped snapshots leave nothing in memory."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import ForeignKey, create_engine, text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    relationship,
    sessionmaker,
)
from sqlalchemy.pool import StaticPool

from sqla_safe import scoped_services, snapshot

KIBI = 1024


class Base(DeclarativeBase):
    pass


class Node(Base):
    __tablename__ = "node"

    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("node.id"))
    parent: Mapped[Node | None] = relationship(back_populates="children", remote_side="Node.id")
    children: Mapped[list[Node]] = relationship(back_populates="parent")


def resident() -> int:
    """Return the process's resident memory in KiB."""
    with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123
        return int(statm.read().split()[1]) * 4


def left_by(run: Callable[[int], object], times: int) -> tuple[int, int]:
    """Return bytes that 500 runs leave in Python, and KiB that many more leave in the process.

    What leaks is left by every 500: something else in the process that grows once does not count.
    """
    run(500)
    tracemalloc.start()
    left = min(left_by_500(run) for _ in range(3))
    tracemalloc.stop()
    rss = resident()
    run(times)
    gc.collect()
    return left, resident() - rss


def left_by_500(run: Callable[[int], object]) -> int:
    """Return bytes that 500 runs leave in Python."""
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    run(500)
    gc.collect()
    return tracemalloc.get_traced_memory()[0] - before


class Service:
    """Has a session."""

    def __init__(self, session: Session) -> None:
        self.session = session


@pytest.mark.timeout(3_600)
def test_scopes_in_a_row(figures, sized):
    """A million scopes with a statement and a callback each leave no object behind."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    maker, times = sessionmaker(engine), sized(4_000, 1_000_000)

    def run(count: int) -> None:
        for _ in range(count):
            with scoped_services(maker) as scope:
                scope.get(Service).session.execute(text("SELECT 1"))
                scope.on_commit(int)

    left, rss = left_by(run, times)
    engine.dispose()
    figures(f"{times} scopes", bytes_left=left, rss=f"{rss} KiB")
    assert left < 16 * KIBI
    assert rss < 32 * KIBI


@pytest.mark.timeout(3_600)
def test_async_scopes_in_a_row(figures, sized):
    """So do async ones, failed ones included."""
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    maker, times = async_sessionmaker(engine), sized(800, 200_000)

    async def once(number: int) -> None:
        async with scoped_services(maker) as scope:
            await scope.session.execute(text("SELECT 1"))
            if number % 10 == 0:
                raise KeyError

    async def many(count: int) -> None:
        for number in range(count):
            with contextlib.suppress(KeyError):
                await once(number)

    with asyncio.Runner() as runner:
        left, rss = left_by(lambda count: runner.run(many(count)), times)
        runner.run(engine.dispose())
    figures(f"{times} scopes", bytes_left=left, rss=f"{rss} KiB")
    assert left < 16 * KIBI
    assert rss < 32 * KIBI


@pytest.mark.timeout(3_600)
def test_dropped_snapshots(figures, sized):
    """Snapshots of a cyclic graph are freed when they are dropped."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    times = sized(400, 10_000)
    with Session(engine) as session:
        session.add(Node(id=1, children=[Node(id=n) for n in range(2, 12)]))
        session.commit()
        root: Any = session.get_one(Node, 1)
        assert len(root.children) == 10
        assert all(child.parent is root for child in root.children)

        def run(count: int) -> None:
            for _ in range(count):
                taken = snapshot(root)
                assert taken.children[0].parent is taken

        left, rss = left_by(run, times)
    engine.dispose()
    figures(f"{times} x 11 objects", bytes_left=left, rss=f"{rss} KiB")
    assert left < 16 * KIBI
    assert rss < 32 * KIBI
