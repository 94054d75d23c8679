"""Tasks of Celery, run by a real worker: a scope each, snapshots as arguments, retries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from celery.contrib.testing.worker import start_worker
from kombu.exceptions import EncodeError

from sqla_safe import (
    ScopeOptionError,
    SqlaSafeError,
    TaskArgumentError,
    is_snapshot,
    scoped_services,
    snapshot,
    transactional,
)
from sqla_safe.ext.celery import RetryingTask, use_snapshots
from tests.integration.containers.support import import_without
from tests.integration.tasks.support import Stranger, SyncUsers, User, busy, sync_stored


@pytest.fixture
def app() -> Iterator[Celery]:
    """Give an application whose broker and results are in memory."""
    app = Celery("tests", broker="memory://", backend="cache+memory://")
    app.conf.update(
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        broker_transport_options={"polling_interval": 0.01},
    )
    use_snapshots(app, User)
    yield app
    app.close()


@pytest.fixture
def working(app: Celery) -> Any:
    """Give a way to start a worker, in a thread, once the tasks are known."""
    return lambda: start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=20)


def anna(sessions: Any) -> User:
    """Store a user and return her snapshot."""
    with scoped_services(sessions, SyncUsers) as users:
        return snapshot(users.add("Anna"), User.avatars)


def test_tasks_have_scopes_snapshots_and_retries(app, working, sync_sessions) -> None:
    """One worker: stored, rolled back, retried, and given snapshots; results are snapshots too."""
    runs: list[str] = []

    @app.task
    @transactional(sync_sessions, SyncUsers)
    def register(users: SyncUsers, name: str) -> str:
        return users.add(name).name

    @app.task
    @transactional(sync_sessions, SyncUsers)
    def fail(users: SyncUsers) -> None:
        users.add("lost")
        users.session.add(User(name="lost"))

    @app.task(base=RetryingTask)
    @transactional(sync_sessions, SyncUsers)
    def contended(users: SyncUsers) -> int:
        runs.append("contended")
        users.add(f"run {len(runs)}")
        if len(runs) < 3:
            raise busy()
        return len(runs)

    @app.task(base=RetryingTask)
    def wrong() -> None:
        runs.append("wrong")
        raise ValueError

    @app.task
    def echo(user: Any, many: list[Any]) -> Any:
        assert is_snapshot(user)
        assert many[0].avatars[0].name == "Mona"
        return user

    user = anna(sync_sessions)
    with working():
        assert register.delay("Bob").get(timeout=20) == "Bob"
        with pytest.raises(Exception, match="UNIQUE"):
            fail.delay().get(timeout=20)
        assert contended.delay().get(timeout=20) == 3
        with pytest.raises(ValueError):
            wrong.delay().get(timeout=20)
        assert echo.delay(user, many=[user]).get(timeout=20) == user
    assert runs == ["contended"] * 3 + ["wrong"]
    assert sync_stored(sync_sessions) == ["Anna", "Bob", "run 3"]


def test_entities_are_refused_before_anything_is_sent(app, sync_sessions) -> None:
    """Celery's error holds ours, which says what to send."""

    @app.task
    def greet(user: Any) -> None: ...

    with scoped_services(sync_sessions, SyncUsers) as users:
        user = users.add("Anna")
        with pytest.raises(
            EncodeError, match=r"args\[0\] holds an entity \(User\).*snap"
        ) as raised:
            greet.delay(user)
    assert isinstance(raised.value.__cause__ or raised.value.__context__, TaskArgumentError)


def test_without_it_the_error_does_not_help(sync_sessions) -> None:
    """What the module is for."""
    plain = Celery("plain", broker="memory://")

    @plain.task
    def greet(user: Any) -> None: ...

    with scoped_services(sync_sessions, SyncUsers) as users:
        user = users.add("Anna")
        with pytest.raises(EncodeError) as raised:
            greet.delay(user)
    assert "asnapshot" not in str(raised.value)
    plain.close()


def test_only_named_entities_travel(app, sync_sessions) -> None:
    """A snapshot of another class is refused."""

    @app.task
    def work(thing: Any) -> None: ...

    with scoped_services(sync_sessions) as scope:
        scope.session.add(stranger := Stranger())
        scope.session.flush()
        snap = snapshot(stranger)
    with pytest.raises(EncodeError, match="name Stranger where"):
        work.delay(snap)


def test_a_retrying_task_called_directly_runs_once(app, sync_sessions) -> None:
    """Its error is its own."""

    @app.task(base=RetryingTask)
    def work() -> None:
        runs.append(1)
        raise error

    runs: list[int] = []
    error = busy()
    with pytest.raises(type(error)) as raised:
        work()
    assert (raised.value, runs) == (error, [1])


def test_what_was_accepted_before_is_accepted_still() -> None:
    """Other producers of the queue may go on sending JSON."""
    app = Celery("accepting", broker="memory://")
    use_snapshots(app, User, name="sqla-safe-accepting")
    assert set(app.conf.accept_content) >= {"json", "sqla-safe-accepting"}
    assert "pickle" not in app.conf.accept_content
    app.close()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((User,), "use_snapshots takes the Celery application first, not the class User. "),
        ((User(), User), "use_snapshots takes the Celery application first, not User. "),
        ((Celery(), Celery()), "use_snapshots(app, ...) takes mapped classes, not Celery. "),
    ],
    ids=["no application", "an entity", "swapped"],
)
def test_the_application_comes_first(arguments, text) -> None:
    """What is missing or swapped is told by what was given."""
    with pytest.raises(SqlaSafeError) as caught:
        use_snapshots(*arguments)
    assert str(caught.value).startswith(text)


def test_a_coroutine_function_is_no_task(app) -> None:
    """Celery awaits nothing: the task would be a success that did nothing."""

    @app.task(base=RetryingTask)
    async def work() -> None: ...

    with pytest.raises(ScopeOptionError, match=r"work is a coroutine function, and Celery awaits"):
        work.apply(throw=True)


def test_a_missing_framework_gives_one_line() -> None:
    """It names the extra."""
    said = "celery is not installed. Instead: pip install 'sqla-safe[celery]' [SQS140]"
    assert import_without("celery") == said
