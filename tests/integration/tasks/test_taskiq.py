"""Tasks of taskiq: a scope each, snapshots as arguments, retries when the database asks."""

import asyncio
import json
from typing import Any

import pytest
from sqlalchemy import select
from taskiq import InMemoryBroker, TaskiqMessage
from taskiq.abc.serializer import TaskiqSerializer

from sqla_safe import (
    CommitOutcomeUnknownError,
    ScopeOptionError,
    SnapshotSourceError,
    TaskArgumentError,
    asnapshot,
    current_scope,
    is_retryable,
    is_snapshot,
    scoped_services,
    transactional,
)
from sqla_safe.ext.taskiq import RetryMiddleware, SnapshotMiddleware
from tests.integration.containers.support import import_without
from tests.integration.tasks.support import Avatar, Base, Stranger, User, Users, busy, stored


class Wire(TaskiqSerializer):
    """JSON, as most brokers send it, remembered."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def dumpb(self, value: Any) -> bytes:
        self.sent.append(json.dumps(value).encode())
        return self.sent[-1]

    def loadb(self, value: bytes) -> Any:
        return json.loads(value)


@pytest.fixture
def wire() -> Wire:
    """Give a serializer that shows what was sent."""
    return Wire()


@pytest.fixture
async def broker(wire: Wire):
    """Give a broker in memory whose messages go through JSON."""
    broker = InMemoryBroker(await_inplace=True).with_serializer(wire)
    broker.add_middlewares(SnapshotMiddleware(User), RetryMiddleware(max_retries=2))
    await broker.startup()
    yield broker
    await broker.shutdown()


async def anna(sessions) -> User:
    """Store a user and return her snapshot."""
    async with scoped_services(sessions, Users) as users:
        return await asnapshot(await users.add("Anna"), User.avatars)


async def test_a_task_is_one_scope(broker, sessions) -> None:
    """It is stored when the task has succeeded, and its result says so."""

    @broker.task
    @transactional(sessions, Users)
    async def register(users: Users, name: str, *, times: int = 1) -> int:
        assert current_scope(sessions).session is users.session
        for n in range(times):
            await users.add(f"{name}{n}")
        return times

    result = await (await register.kiq("Anna", times=2)).wait_result()
    assert (result.is_err, result.return_value) == (False, 2)
    assert await stored(sessions) == ["Anna0", "Anna1"]


async def test_a_task_that_fails_stores_nothing(broker, sessions) -> None:
    """An error of COMMIT is the task's error too."""

    @broker.task
    @transactional(sessions, Users)
    async def register(users: Users) -> None:
        await users.add("Anna")
        users.session.add(User(name="Anna"))

    result = await (await register.kiq()).wait_result()
    assert result.is_err
    assert await stored(sessions) == []


async def test_snapshots_travel(broker, sessions, wire) -> None:
    """Alone, inside lists and dictionaries, and as keyword arguments; as data, not as code."""
    found: list[Any] = []

    @broker.task
    async def greet(user: Any, many: Any, *, named: Any) -> None:
        found.extend([user, *many["users"], named])

    user = await anna(sessions)
    result = await (await greet.kiq(user, {"users": [user, 7]}, named=user)).wait_result()
    assert not result.is_err
    assert found == [user, user, 7, user]
    assert is_snapshot(found[0])
    assert (found[0].balance, found[0].avatars[0].name) == (user.balance, "Mona")
    assert b"pickle" not in wire.sent[0]


@pytest.mark.parametrize("place", ["args", "kwargs", "inside"])
async def test_entities_are_refused_before_anything_is_sent(
    broker, sessions, wire, place: str
) -> None:
    """The error names the argument, and what to send instead."""

    @broker.task
    async def greet(user: Any) -> None: ...

    async with scoped_services(sessions, Users) as users:
        user = await users.add("Anna")
        with pytest.raises(
            TaskArgumentError, match=r"an entity \(User\).*asnapshot\(entity\)"
        ) as raised:
            if place == "kwargs":
                await greet.kiq(user=user)
            else:
                await greet.kiq(user if place == "args" else {"users": [user]})
    expected = {"args": "args[0]", "kwargs": "user", "inside": "args[0]['users'][0]"}
    assert raised.value.where == expected[place]
    assert wire.sent == []


async def test_without_it_an_entity_is_sent_as_an_unclear_error(sessions) -> None:
    """What the module is for: the message cannot be written, and nothing says why."""
    plain = InMemoryBroker(await_inplace=True)

    @plain.task
    async def greet(user: Any) -> None: ...

    async with scoped_services(sessions, Users) as users:
        user = await users.add("Anna")
        with pytest.raises(Exception) as raised:
            await greet.kiq(user)
    assert "asnapshot" not in str(raised.value)


async def test_sessions_and_scopes_are_refused(broker, sessions) -> None:
    """The task opens its own."""

    @broker.task
    async def work(thing: Any) -> None: ...

    async with scoped_services(sessions) as scope:
        for thing, kind in ((scope, "a scope"), (scope.session, "a session")):
            with pytest.raises(TaskArgumentError, match=f"holds {kind}.*opens a scope of its own"):
                await work.kiq(thing)


async def test_only_named_entities_travel(broker, sessions, wire) -> None:
    """A snapshot of another class is refused when it is sent, and when it arrives."""

    @broker.task
    async def work(thing: Any) -> None: ...

    async with scoped_services(sessions) as scope:
        scope.session.add(stranger := Stranger())
        await scope.session.flush()
        snap = await asnapshot(stranger)
    with pytest.raises(TaskArgumentError, match="name Stranger where"):
        await work.kiq(snap)
    message = TaskiqMessage(task_id="1", task_name="work", labels={}, args=[snap], kwargs={})
    sent = SnapshotMiddleware(Stranger).pre_send(message)
    assert SnapshotMiddleware(Stranger).pre_execute(sent).args == [snap]
    with pytest.raises(SnapshotSourceError):
        SnapshotMiddleware(User).pre_execute(sent)


async def test_an_entity_as_a_result_is_the_tasks_error(broker, sessions) -> None:
    """It would be read when its session is gone."""

    @broker.task
    @transactional(sessions, Users)
    async def register(users: Users) -> Any:
        return await users.add("Anna")

    result = await (await register.kiq()).wait_result()
    assert isinstance(result.error, TaskArgumentError)
    assert result.return_value is None


async def test_a_task_is_sent_again_when_the_database_asks_for_it(broker, sessions) -> None:
    """With its arguments, in a new scope; what the failed run wrote is gone."""
    seen: list[Any] = []

    @broker.task
    @transactional(sessions, Users)
    async def register(users: Users, user: Any) -> None:
        seen.append(user)
        await users.add(f"run {len(seen)}")
        if len(seen) < 3:
            raise busy()

    assert is_retryable(busy())
    user = await anna(sessions)
    task = await register.kiq(user)
    result = await task.wait_result()
    assert (result.is_err, seen) == (False, [user] * 3)
    assert await stored(sessions) == ["Anna", "run 3"]


@pytest.mark.parametrize(
    ("error", "runs"),
    [
        (busy(), 3),
        (ValueError("no"), 1),
        (CommitOutcomeUnknownError(opened_at="app.py:3", transaction_id=None), 1),
    ],
    ids=["busy", "a bug", "unknown outcome"],
)
async def test_retries_end(broker, error: Exception, runs: int) -> None:
    """After `max_retries`; and what may have been stored is never run again."""
    seen: list[int] = []

    @broker.task
    async def work() -> None:
        seen.append(1)
        raise error

    result = await (await work.kiq()).wait_result()
    assert result.is_err
    assert len(seen) == runs


async def test_tasks_at_the_same_time_have_their_own_scopes(broker, sessions) -> None:
    """As many as there are."""
    used: set[int] = set()

    @broker.task
    @transactional(sessions, Users)
    async def look(users: Users) -> None:
        used.add(id(users.session))
        await users.session.scalars(select(Avatar))

    await asyncio.gather(*(look.kiq() for _ in range(3)))
    assert len(used) == 3


@pytest.mark.parametrize(
    ("entity", "got"),
    [(User(name="a"), "User"), ([User], "list"), (str, "the class str"), (Base, "the class Base")],
    ids=["snapshot", "list", "class", "base"],
)
def test_only_mapped_classes_are_known(entity, got) -> None:
    """An entity, a list of classes or a class without a table is refused where it is named."""
    with pytest.raises(SnapshotSourceError) as caught:
        SnapshotMiddleware(entity)
    text = f"SnapshotMiddleware(...) takes mapped classes, not {got}. Instead: SnapshotMiddleware("
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize("retries", [-1, "3", None, True], ids=repr)
def test_retries_are_a_number(retries) -> None:
    """Anything else would fail when the first task does."""
    with pytest.raises(ScopeOptionError, match="max_retries=3"):
        RetryMiddleware(retries)


def test_transactional_goes_below_the_brokers_decorator(broker, sessions) -> None:
    """Above it, it would be given a task: the error says where it belongs."""

    @broker.task
    async def work() -> None: ...

    with pytest.raises(ScopeOptionError) as caught:
        transactional(sessions)(work)
    assert "an object of the class AsyncTaskiqDecoratedTask, such as another decorator" in str(
        caught.value
    )
    assert "Instead: @transactional(...) below that decorator" in str(caught.value)


def test_a_missing_framework_gives_one_line() -> None:
    """It names the extra."""
    said = "taskiq is not installed. Instead: pip install 'sqla-safe[taskiq]' [SQS140]"
    assert import_without("taskiq") == said
