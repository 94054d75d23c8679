"""Nothing that a scope says or logs holds a value: secrets are planted, and all is searched."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import pickle
import warnings
from collections.abc import Iterator

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError

from sqla_safe import SqlaSafeError, configure, scoped_services
from tests.integration.scopes.async_.support import on_postgres
from tests.integration.scopes.models import Note

SECRET = "hunter2-4711"
ADD = insert(Note).values(text=SECRET)


async def swallowed(maker) -> None:
    """Swallow a unique violation, whose DETAIL quotes the value."""
    async with scoped_services(maker) as scope:
        await scope.session.execute(ADD)
        with contextlib.suppress(DBAPIError):
            await scope.session.execute(ADD)
        scope.set_rollback_only("on PostgreSQL it would be so anyway")


async def swallowed_flush(maker) -> None:
    """Swallow a failed flush."""
    async with scoped_services(maker) as scope:
        await scope.session.execute(ADD)
        scope.session.add(Note(text=SECRET))
        with contextlib.suppress(DBAPIError):
            await scope.session.flush()


async def swallowed_inside(maker) -> None:
    """Swallow the error of a joined scope."""
    async with scoped_services(maker) as scope:
        await scope.session.execute(ADD)
        with contextlib.suppress(DBAPIError):
            async with scoped_services(maker) as inner:
                await inner.session.execute(ADD)


async def failing_callbacks(maker) -> None:
    """Let a callback fail after COMMIT."""

    def fail() -> None:
        raise ValueError(SECRET)

    async with scoped_services(maker) as scope:
        await scope.session.execute(ADD)
        scope.on_commit(fail)


async def failing_twice(maker) -> None:
    """Let the body fail, and a callback after it."""

    def fail() -> None:
        raise ValueError(SECRET)

    async with scoped_services(maker) as scope:
        await scope.session.execute(ADD)
        scope.on_rollback(fail)
        raise KeyError


async def committing(maker) -> None:
    """Let a service commit."""
    async with scoped_services(maker) as scope:
        scope.session.add(Note(text=SECRET))
        await scope.session.commit()


async def writing(maker) -> None:
    """Write where only reading is allowed."""
    async with scoped_services(maker, read_only=True) as scope:
        await scope.session.execute(ADD)


async def flushing(maker) -> None:
    """Flush where only reading is allowed."""
    async with scoped_services(maker, read_only=True) as scope:
        scope.session.add(Note(text=SECRET))


async def late(maker) -> None:
    """Be late."""
    async with scoped_services(maker, timeout=0.05) as scope:
        await scope.session.execute(ADD)
        await asyncio.sleep(30)


async def closed(maker) -> None:
    """Use a session after its end."""
    async with scoped_services(maker) as scope:
        session = scope.session
    await session.execute(ADD)


async def together(maker) -> None:
    """Use a session in two tasks."""
    async with scoped_services(maker) as scope:
        await scope.session.execute(text("SELECT 1"))
        await asyncio.gather(scope.session.execute(ADD), scope.session.execute(ADD))


async def idle(maker) -> None:
    """Keep a transaction open."""
    configure(maker, idle_in_transaction_warning=0.01)
    async with scoped_services(maker) as scope:
        await scope.session.execute(ADD)
        await asyncio.sleep(0.05)
        scope.set_rollback_only("that will do")


PROGRAMS = (
    swallowed,
    swallowed_flush,
    swallowed_inside,
    failing_callbacks,
    failing_twice,
    committing,
    writing,
    flushing,
    late,
    closed,
    together,
    idle,
)


def chain(error: BaseException, seen: set[int]) -> Iterator[BaseException]:
    """Yield an error and all that hangs on it."""
    if id(error) in seen:
        return
    seen.add(id(error))
    yield error
    hanging = [error.__cause__, error.__context__, *getattr(error, "exceptions", ())]
    for other in hanging:
        if other is not None:
            yield from chain(other, seen)


def ours(error: BaseException) -> list[str]:
    """Return what this library says in an error: its own ones whole, of others the notes."""
    said = list(getattr(error, "__notes__", ()))
    if isinstance(error, SqlaSafeError):
        facts = {name: fact for name, fact in vars(error).items() if not _holds_errors(fact)}
        said += [str(error), repr(error.args), repr(facts)]
        if not isinstance(error, ExceptionGroup):
            said += [repr(error), repr(pickle.dumps(error))]
    return said


def _holds_errors(fact: object) -> bool:
    """Tell the driver's exceptions, which stay what they are, from facts."""
    if isinstance(fact, dict):
        return any(map(_holds_errors, fact.values()))
    return isinstance(fact, BaseException | list)


@pytest.mark.parametrize("program", PROGRAMS)
async def test_no_value_is_told(maker, caplog, program):
    """Neither errors and their notes nor warnings and log lines hold what was bound."""
    said: list[str] = []
    with (
        caplog.at_level(logging.DEBUG, "sqla_safe"),
        warnings.catch_warnings(record=True) as warned,
        contextlib.redirect_stderr(io.StringIO()) as stderr,
    ):
        warnings.simplefilter("always")
        with pytest.raises(Exception) as caught:
            await program(maker)
    for error in chain(caught.value, set()):
        said += ours(error)
    said += [str(warning.message) for warning in warned]
    said += [record.getMessage() for record in caplog.records if "sqla_safe" in record.name]
    said.append(stderr.getvalue())
    assert [piece for piece in said if SECRET in piece] == []
    assert any(piece for piece in said), "nothing was said at all"


@on_postgres
async def test_no_value_is_told_of_a_lost_commit(proxied):
    """Nor does the error of a COMMIT whose outcome nobody knows."""
    configure(proxied.maker, cleanup_timeout=0.3)
    proxied.proxy.at("COMMIT", "answer lost", then_refuse=True)
    with pytest.raises(SqlaSafeError) as caught:
        async with scoped_services(proxied.maker) as scope:
            await scope.session.execute(ADD)
    said = [piece for error in chain(caught.value, set()) for piece in ours(error)]
    assert [piece for piece in said if SECRET in piece] == []
    assert scope.outcome == "unknown"
