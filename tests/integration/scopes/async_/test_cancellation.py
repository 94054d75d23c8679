"""Rule 8: cancelled at any point, once or often, by whom it may be."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time

import anyio
import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from sqla_safe import NoScopeError, current_scope, prepare_sqlite, scoped_services
from tests.integration.scopes.async_.support import (
    is_running,
    make_commits_slow,
    make_inserts_slow,
    on_postgres,
    on_servers,
    on_two,
    only_on,
    slow_select,
    until,
)
from tests.integration.scopes.models import Note, Notes, create_tables, stored


async def result_of(task) -> BaseException | None:
    """Wait for the end of a task and return its exception (gather would make a new one)."""
    await asyncio.wait([task])
    try:
        await task
    except BaseException as error:
        return error
    return None


class Work:
    """One scope in a task of its own, and what became of it."""

    def __init__(self, maker, body, text: str = "a") -> None:
        self.scope = None
        self.ran = []
        self.began = asyncio.Event()
        self._maker = maker
        self._body = body
        self._text = text
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async with scoped_services(self._maker) as self.scope:
            self.scope.on_commit(lambda: self.ran.append("commit"))
            self.scope.on_rollback(lambda: self.ran.append("rollback"))
            await self.scope.get(Notes).add(self._text)
            self.began.set()
            await self._body(self.scope)

    async def result(self) -> BaseException | None:
        """Wait for the end; return what left the block."""
        return await result_of(self.task)


async def nothing(_scope) -> None:
    """End the block at once."""


async def idle(_scope) -> None:
    """Keep the transaction open over something slow."""
    await asyncio.sleep(30)


async def while_committing(database, act) -> None:
    """Do something as soon as the server is at a COMMIT."""
    await until(lambda: is_running(database, "COMMIT"))
    act()


async def slow_statement(database):
    """Return a body that runs a slow statement."""
    statement = slow_select(database, 0.3 if database.dialect == "sqlite" else 3)

    async def body(scope) -> None:
        await scope.session.execute(statement)

    return body


async def test_between_statements(maker, async_engine, async_database):
    """A scope that is cancelled between two statements is rolled back."""
    work = Work(maker, idle)
    await work.began.wait()
    work.task.cancel()
    assert isinstance(await work.result(), asyncio.CancelledError)
    assert async_engine.pool.checkedout() == 0
    assert work.scope.outcome == "rolled_back"
    assert work.ran == ["rollback"]
    assert stored(async_database) == []


async def test_during_a_statement(maker, async_engine, async_database):
    """A scope that is cancelled during a statement is rolled back."""
    work = Work(maker, await slow_statement(async_database))
    await work.began.wait()
    await asyncio.sleep(0.03)
    work.task.cancel()
    assert isinstance(await work.result(), asyncio.CancelledError)
    assert async_engine.pool.checkedout() == 0
    assert work.scope.outcome == "rolled_back"
    assert work.ran == ["rollback"]
    assert stored(async_database) == []


@pytest.mark.parametrize("pause", [0, 0.001, 0.01], ids=str)
async def test_several_times_during_a_statement(maker, async_engine, async_database, pause):
    """A scope that is cancelled again and again while it is being undone is rolled back."""
    work = Work(maker, await slow_statement(async_database))
    await work.began.wait()
    await asyncio.sleep(0.03)
    while not work.task.done():
        work.task.cancel()
        await asyncio.sleep(pause)
    assert isinstance(await work.result(), asyncio.CancelledError)
    assert async_engine.pool.checkedout() == 0
    assert work.scope.outcome == "rolled_back"
    assert work.ran == ["rollback"]
    assert stored(async_database) == []


async def test_during_the_flush_at_the_end(maker, async_engine, async_database):
    """A scope that is cancelled while its last changes are written is rolled back."""

    async def body(scope) -> None:
        scope.session.add(Note(text="b"))

    make_inserts_slow(async_database, 0.2)
    work = Work(maker, body)
    await work.began.wait()
    await until(lambda: not work.scope.is_active)
    await asyncio.sleep(0.03)
    work.task.cancel()
    assert isinstance(await work.result(), asyncio.CancelledError)
    assert async_engine.pool.checkedout() == 0
    assert work.scope.outcome == "rolled_back"
    assert stored(async_database) == []


@on_postgres
@pytest.mark.parametrize("times", [1, 3])
async def test_during_commit(maker, async_engine, async_database, times):
    """A cancellation during COMMIT waits for it, and leaves with a note that says "stored"."""
    make_commits_slow(async_database, 0.6)
    work = Work(maker, nothing)
    await until(lambda: is_running(async_database, "COMMIT"))
    for _ in range(times):
        work.task.cancel()
        await asyncio.sleep(0.01)
    error = await work.result()
    assert isinstance(error, asyncio.CancelledError)
    assert any("stored" in note for note in error.__notes__)
    assert async_engine.pool.checkedout() == 0
    assert work.scope.outcome == "committed"
    assert work.ran == ["commit"]
    assert stored(async_database) == ["a"]


@on_postgres
async def test_all_tasks_cancelled_during_commit(maker, async_engine, async_database):
    """Whoever cancels all tasks of the loop, as it ends, does not tear a COMMIT."""
    others = asyncio.all_tasks()
    make_commits_slow(async_database, 0.6)
    work = Work(maker, nothing)
    await until(lambda: is_running(async_database, "COMMIT"))
    tasks = asyncio.all_tasks() - others
    assert tasks == {work.task}
    for task in tasks:
        task.cancel()
    assert isinstance(await work.result(), asyncio.CancelledError)
    assert async_engine.pool.checkedout() == 0
    assert work.scope.outcome == "committed"
    assert stored(async_database) == ["a"]


async def test_all_tasks_cancelled_as_the_end_begins(maker, async_engine, async_database):
    """A loop that ends while a scope is just being left leaves no connection out."""
    others = asyncio.all_tasks()
    work = Work(maker, nothing)
    await until(lambda: work.scope is not None and not work.scope.is_active)
    for task in asyncio.all_tasks() - others:
        task.cancel()
    await work.result()
    assert work.scope.outcome == ("committed" if stored(async_database) else "rolled_back")
    assert async_engine.pool.checkedout() == 0


@on_postgres
async def test_during_a_commit_that_fails(maker, async_engine, async_database):
    """A cancellation during a COMMIT that the database refuses leaves without "stored"."""
    make_commits_slow(async_database, 0.6)

    async def body(scope) -> None:
        await scope.session.execute(text("INSERT INTO comment (id, note_id) VALUES (1, 4711)"))

    work = Work(maker, body)
    await until(lambda: is_running(async_database, "COMMIT"))
    work.task.cancel()
    error = await work.result()
    assert isinstance(error, asyncio.CancelledError)
    assert not any("is stored" in note for note in getattr(error, "__notes__", ()))
    assert async_engine.pool.checkedout() == 0
    assert work.scope.outcome == "rolled_back"
    assert work.ran == ["rollback"]
    assert stored(async_database) == []


@on_postgres
async def test_timeout_during_commit(maker, async_engine, async_database):
    """asyncio.timeout that runs out during COMMIT raises TimeoutError; the outcome is committed."""
    make_commits_slow(async_database, 0.6)
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(None) as limit, asyncio.TaskGroup() as group:
            group.create_task(while_committing(async_database, lambda: limit.reschedule(0)))
            async with scoped_services(maker) as scope:
                scope.session.add(Note(text="a"))
    assert any("stored" in note for note in caught.value.__cause__.__notes__)
    assert async_engine.pool.checkedout() == 0
    assert scope.outcome == "committed"
    assert stored(async_database) == ["a"]


@on_postgres
async def test_anyio_scope_during_commit(maker, async_engine, async_database):
    """An anyio scope that is cancelled during COMMIT waits for it; the outcome is committed."""
    make_commits_slow(async_database, 0.6)
    ran = []
    async with anyio.create_task_group() as group:
        group.start_soon(while_committing, async_database, lambda: limit.cancel())  # noqa: PLW0108  (it is made below)
        with anyio.CancelScope() as limit:
            async with scoped_services(maker) as scope:
                scope.session.add(Note(text="a"))
                scope.on_commit(lambda: ran.append("commit"))
    assert limit.cancelled_caught
    assert async_engine.pool.checkedout() == 0
    assert scope.outcome == "committed"
    assert ran == ["commit"]
    assert stored(async_database) == ["a"]


@on_postgres
async def test_during_scope_commit(maker, async_engine, async_database):
    """A cancellation during scope.commit() waits for it: what was done until then is stored."""
    make_commits_slow(async_database, 0.6)
    work = Work(maker, lambda scope: scope.commit())
    await until(lambda: is_running(async_database, "COMMIT"))
    work.task.cancel()
    error = await work.result()
    assert isinstance(error, asyncio.CancelledError)
    assert any("stored" in note for note in error.__notes__)
    assert async_engine.pool.checkedout() == 0
    assert work.ran == ["commit"]
    assert stored(async_database) == ["a"]


async def test_during_a_callback(maker, async_engine, async_database):
    """A cancellation during on_commit lets every callback end, and leaves saying "stored"."""
    ran = []
    running = asyncio.Event()

    async def slow() -> None:
        running.set()
        await asyncio.sleep(0.05)
        ran.append("slow")

    async def body(scope) -> None:
        scope.on_commit(slow)
        scope.on_commit(lambda: ran.append("second"))

    work = Work(maker, body)
    await running.wait()
    work.task.cancel()
    error = await work.result()
    assert isinstance(error, asyncio.CancelledError)
    assert any("stored" in note for note in error.__notes__)
    assert ran == ["slow", "second"]
    assert work.scope.outcome == "committed"
    assert stored(async_database) == ["a"]


@on_servers
@pytest.mark.parametrize("times", [1, 3])
async def test_during_rollback(proxied, times):
    """A cancellation during ROLLBACK waits for it; the connection is as good as before."""
    async with scoped_services(proxied.maker) as scope:
        before = await scope.session.scalar(text(WHO[proxied.database.dialect]))
    proxied.proxy.delay = 0.2
    proxied.proxy.at("ROLLBACK", "slow")

    async def fail(_scope) -> None:
        raise KeyError("own")

    work = Work(proxied.maker, fail)
    await proxied.proxy.hit.wait()
    for _ in range(times):
        work.task.cancel()
        await asyncio.sleep(0.01)
    assert isinstance(await work.result(), asyncio.CancelledError | KeyError)
    assert proxied.engine.pool.checkedout() == 0
    assert work.scope.outcome == "rolled_back"
    assert work.ran == ["rollback"]
    assert stored(proxied.database) == []
    async with scoped_services(proxied.maker) as scope:
        assert await scope.session.scalar(text(WHO[proxied.database.dialect])) == before


WHO = {"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT connection_id()"}


@on_two
async def test_error_leaves_unchanged(maker):
    """The very CancelledError, with its message, leaves the block."""
    work = Work(maker, idle)
    await work.began.wait()
    work.task.cancel("the user went away")
    error = await work.result()
    assert error.args == ("the user went away",)
    assert not hasattr(error, "__notes__")


@on_two
async def test_number_of_cancellations_is_kept(maker):
    """The task's own count of cancellations is left as it is, for whoever comes after."""
    counted = []

    async def victim() -> None:
        try:
            async with scoped_services(maker, Notes) as notes:
                await notes.add("a")
                await asyncio.sleep(30)
        finally:
            counted.append(asyncio.current_task().cancelling())

    task = asyncio.create_task(victim())
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert counted == [1]


@on_two
async def test_ambient_state_is_undone(maker, async_database):
    """After a cancelled scope its task has no current scope, and its next one is stored."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05), scoped_services(maker, Notes) as notes:
            await notes.add("a")
            await asyncio.sleep(30)
    with pytest.raises(NoScopeError):
        current_scope(maker)
    async with scoped_services(maker, Notes) as notes:
        await notes.add("b")
    assert stored(async_database) == ["b"]


# --- by whom ----------------------------------------------------------------------------------


async def test_by_asyncio_timeout(maker, async_engine, async_database):
    """asyncio.timeout around a scope raises TimeoutError, and nothing is stored."""
    slow = await slow_statement(async_database)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05), scoped_services(maker) as scope:
            await scope.get(Notes).add("a")
            await slow(scope)
    assert async_engine.pool.checkedout() == 0
    assert scope.outcome == "rolled_back"
    assert stored(async_database) == []


async def test_by_asyncio_timeout_inside(maker, async_engine, async_database):
    """A statement that asyncio.timeout cut off inside the block leaves nothing half-written."""
    slow = slow_select(async_database, 0.3)
    with contextlib.suppress(Exception):
        async with scoped_services(maker) as scope:
            await scope.get(Notes).add("a")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.03):
                    await scope.session.execute(slow)
            scope.session.add(Note(text="b"))
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) in ([], ["a", "b"])
    assert (scope.outcome == "committed") == (stored(async_database) == ["a", "b"])


async def test_by_a_task_group(maker, async_engine, async_database):
    """A scope in a TaskGroup whose other task fails is rolled back."""
    slow = await slow_statement(async_database)

    async def fail() -> None:
        await asyncio.sleep(0.05)
        raise KeyError

    async def victim() -> None:
        async with scoped_services(maker) as scope:
            await scope.get(Notes).add("a")
            await slow(scope)

    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.TaskGroup() as group:
            group.create_task(victim())
            group.create_task(fail())
    assert [type(error) for error in caught.value.exceptions] == [KeyError]
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == []


@pytest.mark.parametrize("where", ["in a statement", "between statements"])
async def test_by_an_anyio_scope(maker, async_engine, async_database, where):
    """A scope inside anyio.move_on_after is rolled back, and the block ends there."""
    slow = await slow_statement(async_database) if where == "in a statement" else idle
    with anyio.move_on_after(0.05) as limit:
        async with scoped_services(maker) as scope:
            await scope.get(Notes).add("a")
            await slow(scope)
    assert limit.cancelled_caught
    assert async_engine.pool.checkedout() == 0
    assert scope.outcome == "rolled_back"
    assert stored(async_database) == []


@on_two
async def test_by_an_anyio_scope_cancelled_inside(maker, async_engine, async_database):
    """A block that cancels the anyio scope around it and ends normally is not torn."""
    with anyio.CancelScope() as limit:
        async with scoped_services(maker, Notes) as notes:
            scope = current_scope(maker)
            await notes.add("a")
            limit.cancel()
    assert async_engine.pool.checkedout() == 0
    assert scope.outcome in ("committed", "rolled_back")
    assert stored(async_database) == (["a"] if scope.outcome == "committed" else [])


@on_two
async def test_anyio_shield_inside_is_respected(maker, async_database):
    """A scope inside an anyio shield is stored although the scope around it is cancelled."""
    with anyio.CancelScope() as limit:
        limit.cancel()
        with anyio.CancelScope(shield=True):
            async with scoped_services(maker, Notes) as notes:
                await notes.add("a")
    assert stored(async_database) == ["a"]


@only_on("aiosqlite", "asyncpg", "psycopg-async", "asyncmy")
async def test_anyio_cancellation_keeps_the_connection(maker, async_engine, async_database):
    """A scope that anyio cancels between statements gives its connection back unharmed."""
    made = []
    event.listen(async_engine.sync_engine, "connect", lambda *args: made.append(args))
    for _ in range(5):
        with anyio.CancelScope() as limit:
            async with scoped_services(maker, Notes) as notes:
                await notes.add("a")
                limit.cancel()
                await asyncio.sleep(30)
    assert len(made) == 1
    assert stored(async_database) == []


@on_servers
async def test_anyio_cancellation_does_not_spin(proxied):
    """While ROLLBACK takes its time in a cancelled anyio scope, the processor rests."""
    proxied.proxy.delay = 0.5
    with anyio.CancelScope() as limit:
        async with scoped_services(proxied.maker, Notes) as notes:
            await notes.add("a")
            proxied.proxy.at("ROLLBACK", "slow")
            passed, used = time.monotonic(), time.process_time()
            limit.cancel()
            await asyncio.sleep(30)
    assert time.monotonic() - passed >= 0.5
    assert time.process_time() - used < 0.25
    assert proxied.engine.pool.checkedout() == 0
    assert stored(proxied.database) == []


# --- at every moment --------------------------------------------------------------------------

MOMENTS = 24
"""At how many moments of one scope's life the cancellation comes."""


async def pass_time(seconds: float) -> None:
    """Let other tasks run for so long, more exactly than asyncio.sleep can."""
    due = time.perf_counter() + seconds
    while time.perf_counter() < due:  # noqa: ASYNC110
        await asyncio.sleep(0)


async def cancelled_after(seconds: float, how: str, work) -> BaseException | None:
    """Run a coroutine and cancel it after so many seconds; return what left it."""
    if how == "by anyio":
        left = None

        async def run() -> None:
            nonlocal left
            try:
                await work
            except BaseException as error:
                left = error
                raise

        async with anyio.create_task_group() as group:
            group.start_soon(run)
            await pass_time(seconds)
            group.cancel_scope.cancel()
        return left
    task = asyncio.create_task(work)
    await pass_time(seconds)
    for _ in range({"once": 1, "twice": 2, "thrice": 3}[how]):
        task.cancel()
        await pass_time(0.0002)
    return await result_of(task)


@pytest.mark.parametrize("how", ["once", "twice", "thrice", "by anyio"])
@pytest.mark.parametrize("pool_of", ["cold", "warm"])
async def test_at_every_moment(maker, async_engine, async_database, how, pool_of):
    """Whenever the cancellation comes, the outcome is committed exactly when the data is stored."""
    scopes = {}

    async def work(name: str) -> None:
        async with scoped_services(maker) as scopes[name]:
            await scopes[name].get(Notes).add(name)
            scopes[name].session.add(Note(text=f"{name} too"))

    await work("the first")
    before = time.perf_counter()
    if pool_of == "cold":
        await async_engine.dispose()
    await work("the second")
    needed = time.perf_counter() - before
    for moment in range(MOMENTS):
        if pool_of == "cold":
            await async_engine.dispose()
        name = f"{moment}"
        error = await cancelled_after(1.2 * needed * moment / MOMENTS, how, work(name))
        assert async_engine.pool.checkedout() == 0
        if error is not None and name in scopes:
            assert isinstance(error, asyncio.CancelledError)
            if scopes[name].outcome == "committed":
                assert any("stored" in note for note in error.__notes__)
    texts = stored(async_database)
    for name, scope in scopes.items():
        assert scope.outcome in ("committed", "rolled_back")
        kept = [text for text in texts if text in (name, f"{name} too")]
        assert kept == ([name, f"{name} too"] if scope.outcome == "committed" else [])
    assert {scope.outcome for scope in scopes.values()} == {"committed", "rolled_back"}


@on_servers
async def test_while_waiting_for_a_connection(async_database, maker, make_async_engine):
    """A scope that is cancelled while the pool has no connection for it loses none."""
    engine = make_async_engine(async_database, pool_size=1)
    small = async_sessionmaker(engine)
    holder = Work(small, idle, "holder")
    await holder.began.wait()
    waiting = [Work(small, nothing, str(number)) for number in range(5)]
    await asyncio.sleep(0.02)
    for work in waiting:
        work.task.cancel()
    for work in waiting:
        assert isinstance(await work.result(), asyncio.CancelledError)
        assert work.scope.outcome == "rolled_back"
    holder.task.cancel()
    await holder.result()
    assert engine.pool.checkedout() == 0
    async with scoped_services(small, Notes) as notes:
        await notes.add("next")
    assert stored(async_database) == ["next"]


# --- generators -------------------------------------------------------------------------------


async def names(maker):
    """Yield inside a scope, as careless code does."""
    async with scoped_services(maker, Notes) as notes:
        await notes.add("a")
        yield "a"
        yield "b"


@on_two
async def test_closed_generator(maker, async_engine, async_database):
    """An async generator that is closed inside its scope is rolled back."""
    generator = names(maker)
    assert await anext(generator) == "a"
    await generator.aclose()
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == []


async def test_abandoned_generator(maker, async_engine, async_database):
    """An async generator left open by `break` gives its connection back when collected."""
    async for _ in names(maker):
        break
    gc.collect()
    await until(lambda: async_engine.pool.checkedout() == 0)
    assert stored(async_database) == []
    with pytest.raises(NoScopeError):
        current_scope(maker)


@on_two
async def test_scope_beside_an_open_generator(maker, async_engine, async_database):
    """A scope opened while a generator is suspended in another one ends well."""
    generator = names(maker)
    await anext(generator)
    await generator.aclose()
    async with scoped_services(maker, Notes) as notes:
        await notes.add("b")
    assert stored(async_database) == ["b"]


@only_on("aiosqlite", "asyncpg", "psycopg-async")
def test_generator_at_the_end_of_the_loop(async_database):
    """An async generator that is open when the loop shuts down is rolled back."""
    create_tables(async_database)
    loop = asyncio.new_event_loop()
    engine = create_async_engine(async_database.url)
    if async_database.dialect == "sqlite":
        prepare_sqlite(engine)
    maker = async_sessionmaker(engine)
    generator = names(maker)

    async def begin() -> None:
        await anext(generator)

    loop.run_until_complete(begin())
    assert async_database.probe.idle_in_transaction() == 1
    loop.run_until_complete(loop.shutdown_asyncgens())
    assert engine.pool.checkedout() == 0
    assert async_database.probe.idle_in_transaction() == 0
    loop.run_until_complete(engine.dispose())
    loop.close()
    assert stored(async_database) == []


@pytest.fixture
def collected():
    """Collect the garbage of a test while its warnings are still its own."""
    yield
    gc.collect()


@only_on("aiosqlite", "asyncpg", "psycopg-async")
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # asyncio's own, of a loop closed like this
def test_closed_after_its_loop(async_database, collected):
    """A block whose event loop was closed under it is undone when it is collected."""
    create_tables(async_database)
    loop = asyncio.new_event_loop()
    engine = create_async_engine(async_database.url)
    if async_database.dialect == "sqlite":
        prepare_sqlite(engine)
    maker = async_sessionmaker(engine)
    loop.set_exception_handler(lambda *_: None)  # it complains about the task, and may
    began, scopes = loop.create_future(), []

    async def work() -> None:
        async with scoped_services(maker) as scope:
            scopes.append(scope)
            await scope.get(Notes).add("a")
            began.set_result(None)
            await loop.create_future()

    running = work()
    task = loop.create_task(running)
    loop.run_until_complete(began)
    assert async_database.probe.idle_in_transaction() == 1
    loop.close()
    running.close()
    assert not task.done()
    assert scopes[0].outcome == "rolled_back"
    assert not scopes[0].is_active
    assert engine.pool.checkedout() == 0
    assert stored(async_database) == []
