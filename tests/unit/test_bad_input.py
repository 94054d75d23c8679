"""Bad input is refused before any connection is taken, with the line to write instead."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import (
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from sqla_safe import (
    NoScopeError,
    ScopeClosedError,
    ScopeOptionError,
    ScopeSourceError,
    SqlaSafeError,
    configure,
    current_scope,
    prepare_sqlite,
    scoped_services,
    transactional,
)
from tests.unit.conftest import refuse_to_connect, refuse_to_connect_async

Maker = sessionmaker[Session]
AsyncMaker = async_sessionmaker[AsyncSession]

ENGINE = create_engine("sqlite://", creator=refuse_to_connect)
ASYNC_ENGINE = create_async_engine("sqlite+aiosqlite://", async_creator=refuse_to_connect_async)
SESSIONMAKER = "sessionmaker(engine)"

# What users pass by mistake, how the error calls it, and the line that it proposes.
WRONG_SOURCES = [
    pytest.param(lambda: ENGINE, "Engine", f"Session = {SESSIONMAKER}; ", id="engine"),
    pytest.param(
        lambda: ASYNC_ENGINE, "AsyncEngine", f"Session = async_{SESSIONMAKER}", id="async-engine"
    ),
    pytest.param(
        lambda: create_engine("sqlite://").connect(),
        "Connection",
        f"Session = {SESSIONMAKER}",
        id="connection",
    ),
    pytest.param(Session, "Session", "the sessionmaker that made", id="session"),
    pytest.param(
        AsyncSession,
        "AsyncSession",
        "the async_sessionmaker that made",
        id="async-session",
    ),
    pytest.param(
        lambda: scoped_session(sessionmaker()), "scoped_session", "session_factory", id="registry"
    ),
    pytest.param(
        lambda: async_scoped_session(async_sessionmaker(), scopefunc=lambda: 1),
        "async_scoped_session",
        "session_factory",
        id="async-registry",
    ),
    pytest.param(lambda: Session, "the class Session", f"pass {SESSIONMAKER}", id="class"),
    pytest.param(
        lambda: AsyncSession,
        "the class AsyncSession",
        "async_sessionmaker(engine)",
        id="async-class",
    ),
    pytest.param(lambda: None, "NoneType", f"pass {SESSIONMAKER}", id="none"),
    pytest.param(lambda: "sqlite://", "str", f"pass {SESSIONMAKER}", id="url"),
]
wrong_source = pytest.mark.parametrize(("make", "named", "instead"), WRONG_SOURCES)

WRONG_SECONDS = [0, -1, 0.0, math.nan, math.inf, "5", True, object]
wrong_seconds = pytest.mark.parametrize("seconds", WRONG_SECONDS, ids=repr)


@wrong_source
@pytest.mark.parametrize(
    "use",
    [
        pytest.param(scoped_services, id="scoped_services"),
        pytest.param(current_scope, id="current_scope"),
        pytest.param(transactional, id="transactional"),
        pytest.param(configure, id="configure"),
    ],
)
def test_what_is_no_sessionmaker_is_refused(make, named, instead, use) -> None:
    """The error says what was given and which line to write; it is a TypeError."""
    given = make()
    with pytest.raises(ScopeSourceError) as caught:
        use(given)
    if hasattr(given, "invalidate") and hasattr(given, "engine"):
        given.close()
        given.engine.dispose()
    assert isinstance(caught.value, TypeError)
    assert f" {named}. Instead: " in str(caught.value)
    assert instead in str(caught.value)


def test_an_unknown_propagation_is_refused_with_the_ones_that_exist(maker: Maker) -> None:
    """A misspelt propagation fails where it is written, and the text lists all five."""
    with pytest.raises(ScopeOptionError) as caught:
        scoped_services(maker, propagation="require")
    assert "there is no propagation 'require'" in str(caught.value)
    for known in ("required", "nested", "requires_new", "mandatory", "never"):
        assert repr(known) in str(caught.value)


@wrong_seconds
def test_a_timeout_that_is_no_positive_number_is_refused(maker: Maker, seconds: object) -> None:
    """Zero, negative, not a number, endless (that is None), text and flags are no timeout."""
    with pytest.raises(ScopeOptionError, match="timeout is not a positive number of seconds"):
        scoped_services(maker, timeout=seconds)


@pytest.mark.parametrize(
    ("level", "problem"),
    [("AUTOCOMMIT", "has no transaction"), (4, "not a string"), (True, "not a string")],
    ids=["autocommit", "number", "flag"],
)
def test_an_impossible_isolation_level_is_refused(
    maker: Maker, level: object, problem: str
) -> None:
    """A scope is a transaction, and its isolation level is a name."""
    with pytest.raises(ScopeOptionError, match=problem):
        scoped_services(maker, isolation_level=level)


@pytest.mark.parametrize("value", ["no", None, 1])
def test_read_only_is_true_or_false(maker: Maker, value: Any) -> None:
    """A text from the environment would be true whatever it says, and None would be false."""
    with pytest.raises(ScopeOptionError, match="read_only=True"):
        scoped_services(maker, read_only=value)


def test_an_unknown_option_is_a_type_error(maker: Maker) -> None:
    """A misspelt keyword fails as with any function."""
    with pytest.raises(TypeError, match="readonly"):
        scoped_services(maker, readonly=True)


@pytest.mark.parametrize("propagation", ["required", "nested", "requires_new", "mandatory"])
def test_a_closed_scope_handed_over_is_refused(maker: Maker, propagation: str) -> None:
    """A scope that has ended cannot be joined; the error names where it was opened."""
    with scoped_services(maker) as scope:
        pass
    with (
        pytest.raises(ScopeClosedError) as caught,
        scoped_services(scope, propagation=propagation),
    ):
        pytest.fail("the block was entered")
    assert scope.opened_at in str(caught.value)
    assert "test_bad_input.py:" in scope.opened_at


async def test_a_closed_async_scope_handed_over_is_refused(async_maker: AsyncMaker) -> None:
    """The same for an async scope."""
    async with scoped_services(async_maker) as scope:
        pass
    with pytest.raises(ScopeClosedError):
        async with scoped_services(scope):
            pytest.fail("the block was entered")


def test_with_on_an_async_source_names_async_with(async_maker: AsyncMaker) -> None:
    """`with` on an async_sessionmaker is a TypeError that says `async with`."""
    with pytest.raises(TypeError, match="async with"), scoped_services(async_maker):
        pytest.fail("the block was entered")


async def test_async_with_on_a_sync_source_names_with(maker: Maker) -> None:
    """`async with` on a sessionmaker is a TypeError that says `with`, and async_sessionmaker."""
    with pytest.raises(TypeError) as caught:
        async with scoped_services(maker):
            pytest.fail("the block was entered")
    assert "`with " in str(caught.value)
    assert "async_sessionmaker" in str(caught.value)


def test_with_on_an_async_scope_handed_over_names_async_with(async_maker: AsyncMaker) -> None:
    """Entering in the wrong way leaves nothing behind, so that the right way works next."""
    import asyncio

    with pytest.raises(TypeError, match="async with"), scoped_services(async_maker):
        pytest.fail("the block was entered")

    async def right() -> None:
        async with scoped_services(async_maker, propagation="never"):
            pass

    asyncio.run(right())


def test_an_open_block_cannot_be_entered_again(maker: Maker) -> None:
    """One context manager is one block: entering it while it is open is refused."""
    block = scoped_services(maker)
    with block as scope:
        with pytest.raises(SqlaSafeError, match="scoped_services"), block:
            pytest.fail("the block was entered")
        assert scope.is_active
    assert scope.outcome == "committed"


async def test_an_open_async_block_cannot_be_entered_again(async_maker: AsyncMaker) -> None:
    """The same for an async block."""
    block = scoped_services(async_maker)
    async with block as scope:
        with pytest.raises(SqlaSafeError, match="scoped_services"):
            async with block:
                pytest.fail("the block was entered")
        assert scope.is_active
    assert scope.outcome == "committed"


def test_current_scope_outside_says_so(maker: Maker) -> None:
    """Without an open scope the error names the caller's line and is a LookupError."""
    with pytest.raises(
        NoScopeError, match=r"current_scope\(\) at .*test_bad_input\.py:\d+"
    ) as caught:
        current_scope(maker)
    assert isinstance(caught.value, LookupError)


def test_current_scope_does_not_see_another_sessionmaker(maker: Maker) -> None:
    """Ambient state is kept per sessionmaker, also when they share an engine."""
    other = sessionmaker(maker.kw["bind"])
    with scoped_services(maker), pytest.raises(NoScopeError):
        current_scope(other)


def test_mandatory_outside_says_so(maker: Maker) -> None:
    """`mandatory` without a scope names its own line."""
    with (
        pytest.raises(NoScopeError, match=r'propagation="mandatory" at .*test_bad_input\.py:\d+'),
        scoped_services(maker, propagation="mandatory"),
    ):
        pytest.fail("the block was entered")


def test_transactional_refuses_generator_functions(maker: Maker, async_maker: AsyncMaker) -> None:
    """Their bodies would run after the scope, with services that are closed."""

    def numbers() -> Iterator[int]:
        yield 1

    async def async_numbers() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(ScopeOptionError, match="numbers is a generator function"):
        transactional(maker)(numbers)
    with pytest.raises(ScopeOptionError, match="async_numbers is a generator function"):
        transactional(async_maker)(cast("Any", async_numbers))


def test_transactional_refuses_to_pass_a_service_as_self(maker: Maker) -> None:
    """On a method the services would go in the place of `self`, and `self` in theirs."""

    class Shop:
        def sell(self, session: Session) -> None: ...

    with pytest.raises(ScopeOptionError, match="sell is a method"):
        transactional(maker, lambda session: session)(cast("Any", Shop.sell))


def test_transactional_takes_a_method_without_services(maker: Maker) -> None:
    """Nothing is put before `self` where nothing is asked for."""

    class Shop:
        @transactional(maker)
        def sell(self, price: int) -> int:
            return price

    assert Shop().sell(5) == 5


async def test_transactional_takes_an_object_that_is_called_like_a_coroutine_function(
    async_maker: AsyncMaker,
) -> None:
    """An object with an async `__call__` is as good as a coroutine function."""

    class Answer:
        async def __call__(self) -> int:
            return 42

    assert await transactional(async_maker)(Answer())() == 42


@pytest.mark.parametrize("attempts", [0, -1, 1.5, True, "3"], ids=repr)
def test_attempts_must_be_a_positive_integer(maker: Maker, attempts: object) -> None:
    """`transactional` is told how often to try by a whole number."""
    with pytest.raises(ScopeOptionError, match="attempts"):
        transactional(maker, attempts=attempts)


def test_transactional_refuses_a_scope(maker: Maker) -> None:
    """A decorator outlives a scope, so it cannot be tied to one."""
    with scoped_services(maker) as scope, pytest.raises(ScopeSourceError):
        transactional(scope)


def test_transactional_refuses_a_coroutine_function_on_a_sessionmaker(maker: Maker) -> None:
    """The error names the function and the two ways out."""
    with pytest.raises(ScopeOptionError, match="async_sessionmaker"):

        @transactional(maker)
        async def book() -> None: ...


def test_transactional_refuses_a_plain_function_on_an_async_sessionmaker(
    async_maker: AsyncMaker,
) -> None:
    """The other way round as well."""
    with pytest.raises(ScopeOptionError, match="async def"):

        @transactional(async_maker)
        def book() -> None: ...


@pytest.mark.parametrize(
    "option",
    [{"propagation": "joined"}, {"timeout": -1}, {"isolation_level": "AUTOCOMMIT"}],
    ids=["propagation", "timeout", "isolation_level"],
)
def test_transactional_checks_its_options_where_it_is_written(
    maker: Maker, option: dict[str, object]
) -> None:
    """A wrong option fails when the module is imported, not at the first call."""
    with pytest.raises(ScopeOptionError):
        transactional(maker, **option)


def test_configure_refuses_an_unknown_option_with_the_ones_that_exist(maker: Maker) -> None:
    """A misspelt policy is named, and so are the right ones."""
    with pytest.raises(ScopeOptionError) as caught:
        configure(maker, service_comit="flush")
    assert "'service_comit'" in str(caught.value)
    assert "service_commit" in str(caught.value)


@pytest.mark.parametrize("name", ["expire_on_commit", "guard_owner", "resolve_commit"])
def test_configure_refuses_what_is_neither_true_nor_false(maker: Maker, name: str) -> None:
    """A switch is on or off; a text such as "no" would be on."""
    options: dict[str, Any] = {name: "no"}
    with pytest.raises(ScopeOptionError, match=f"{name}=True"):
        configure(maker, **options)


def test_configure_refuses_a_replica_of_the_other_kind(
    maker: Maker, async_maker: AsyncMaker
) -> None:
    """A sync scope cannot await, and an async one cannot wait: told where it is configured."""
    with pytest.raises(ScopeOptionError, match=r"create_engine\(\.\.\.\)"):
        configure(maker, read_only_bind=ASYNC_ENGINE)
    with pytest.raises(ScopeOptionError, match="create_async_engine"):
        configure(async_maker, read_only_bind=ENGINE)
    configure(async_maker, read_only_bind=ASYNC_ENGINE.sync_engine)


def test_configure_refuses_an_unknown_service_commit(maker: Maker) -> None:
    """There are two ways to treat a service's own commit."""
    with pytest.raises(ScopeOptionError, match="neither 'raise' nor 'flush'"):
        configure(maker, service_commit="ignore")


@wrong_seconds
@pytest.mark.parametrize(
    "name", ["drain_timeout", "cleanup_timeout", "idle_in_transaction_warning"]
)
def test_configure_refuses_what_is_no_time(maker: Maker, name: str, seconds: object) -> None:
    """The times of a policy are positive seconds."""
    with pytest.raises(ScopeOptionError, match=name):
        configure(maker, **{name: seconds})


@pytest.mark.parametrize("name", ["drain_timeout", "cleanup_timeout"])
def test_configure_refuses_to_wait_for_ever(maker: Maker, name: str) -> None:
    """The end of a scope is bounded, so these two times cannot be None."""
    with pytest.raises(ScopeOptionError, match=name):
        configure(maker, **{name: None})


@pytest.mark.parametrize("bind", ["sqlite://", 1, Session], ids=["url", "number", "class"])
def test_configure_refuses_a_replica_that_is_no_engine(maker: Maker, bind: object) -> None:
    """Read-only scopes can be sent to an engine only."""
    with pytest.raises(ScopeOptionError, match="read_only_bind"):
        configure(maker, read_only_bind=bind)


def test_a_refused_policy_changes_nothing(maker: Maker) -> None:
    """One wrong option keeps the right ones beside it from being set."""
    with pytest.raises(ScopeOptionError):
        configure(maker, service_commit="flush", cleanup_timeout=-1)
    from sqla_safe import ManagedTransactionError

    with scoped_services(maker) as scope, pytest.raises(ManagedTransactionError):
        scope.session.commit()


@pytest.mark.parametrize(
    "thing", ["sqlite://", None, sessionmaker()], ids=["url", "none", "sessionmaker"]
)
def test_prepare_sqlite_wants_an_engine(thing: object) -> None:
    """What is no engine is refused with the line to write."""
    with pytest.raises(ScopeSourceError, match=r"prepare_sqlite\(create_engine") as caught:
        prepare_sqlite(thing)
    assert "an engine for SQLite, not " in str(caught.value)


@pytest.mark.parametrize(
    "url", ["postgresql+psycopg://localhost/x", "mysql+pymysql://localhost/x"], ids=["pg", "mysql"]
)
def test_prepare_sqlite_refuses_other_databases(url: str) -> None:
    """PostgreSQL and MariaDB have transactions without it."""
    with pytest.raises(ScopeSourceError, match="not Engine for"):
        prepare_sqlite(create_engine(url))


def test_prepare_sqlite_refuses_a_busy_timeout_that_is_no_time() -> None:
    """The wait for another writer is a positive number of seconds."""
    with pytest.raises(ScopeOptionError, match="busy_timeout"):
        prepare_sqlite(create_engine("sqlite://"), busy_timeout=-1)


@pytest.mark.parametrize("callback", [None, 42], ids=repr)
def test_a_callback_that_cannot_be_called_is_refused_at_once(
    maker: Maker, callback: object
) -> None:
    """What is no function is refused where it is registered, not after COMMIT."""
    with scoped_services(maker) as scope:
        with pytest.raises(TypeError):
            scope.on_commit(callback)
        with pytest.raises(TypeError):
            scope.on_rollback(callback)
