"""The pytest plugin: how strict the guard is, and what a test may not leave behind.

pytest loads it wherever sqla_safe is installed. As long as nothing asks for it, it imports nothing
and does nothing; SQLAlchemy is imported with the first test that needs it.
"""

from __future__ import annotations

import inspect
import sys
from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from sqla_safe.ext._testing._leaks import Watch


_MODES = ("off", "report", "raise", "strict")
_MARKER = (
    "sqla_safe(mode=None, *, leaks=None): how strict sqla_safe's guard is in this test "
    f"({', '.join(_MODES)}), and whether what it leaves open fails it"
)
_mode: pytest.StashKey[str | None] = pytest.StashKey()
_undo: pytest.StashKey[Callable[[], None]] = pytest.StashKey()
_watching: pytest.StashKey[Watch] = pytest.StashKey()


class _Wanted(NamedTuple):
    """What is asked for one test."""

    mode: str | None = None
    leaks: bool | None = None


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("sqla_safe")
    group.addoption(
        "--sqla-safe",
        choices=_MODES,
        help="how strict sqla_safe's guard is in all tests; wins over the configuration file",
    )
    group.addoption(
        "--sqla-safe-leaks",
        action="store_true",
        help="let scopes, connections and tasks that a test leaves open fail it",
    )
    parser.addini("sqla_safe", f"how strict sqla_safe's guard is: {_MODES}", type="string")
    parser.addini(
        "sqla_safe_leaks",
        "whether scopes, connections and tasks that a test leaves open fail it",
        type="bool",
        default=False,
    )


def pytest_configure(config: pytest.Config) -> None:
    """Turn the guard on for the whole run, so that it sees the application being imported."""
    config.addinivalue_line("markers", _MARKER)
    mode = config.stash[_mode] = config.getoption("--sqla-safe") or config.getini("sqla_safe")
    if mode:
        config.stash[_undo] = _turn(mode, "sqla_safe in the configuration file")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Turn it off."""
    undo = config.stash.get(_undo, None)
    if undo is not None:
        undo()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run a test as strictly as is wanted, its fixtures included."""
    wanted = _wanted(item)
    with ExitStack() as stack:
        if wanted.mode:  # again where it is the project's: configure() may have been called since
            stack.callback(_turn(wanted.mode, f"the marker of {item.nodeid}"))
        if wanted.leaks:
            stack.enter_context(_watched(item.config))
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """Leave out what a fixture of several tests opens: it is not this test's to close."""
    watch = request.config.stash.get(_watching, None)
    is_shared = watch is not None and fixturedef.scope != "function"
    with watch.excuse() if watch is not None and is_shared else nullcontext():
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Look for tasks that the test's coroutine leaves behind; no runner is in between yet."""
    watch = item.config.stash.get(_watching, None)
    function = getattr(item, "obj", None)
    if watch is None or not inspect.iscoroutinefunction(function):
        return (yield)
    from sqla_safe.ext._testing._leaks import watched  # noqa: PLC0415  (imports SQLAlchemy)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(item, "obj", watched(function, watch))
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Look for what is left when the test's own fixtures have ended."""
    result = yield
    watch = item.config.stash.get(_watching, None)
    if watch is not None and (left := watch.found()):
        from sqla_safe.errors import LeakError  # noqa: PLC0415  (imports SQLAlchemy)

        pytest.fail(str(LeakError(leaks=tuple(left))), pytrace=False)
    return result


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> None:
    """Explain the error of a test, as the guard does where it is on."""
    if call.excinfo is not None and "sqla_safe.guard" in sys.modules:
        from sqla_safe.guard._hooks import annotate  # noqa: PLC0415  (is loaded already)

        annotate(call.excinfo.value)


@pytest.fixture(name="assert_statements")
def _assert_statements() -> Any:
    """Count statements: ``with assert_statements(2): ...``; see `sqla_safe.ext.pytest`."""
    from sqla_safe.ext.pytest import assert_statements  # noqa: PLC0415  (imports SQLAlchemy)

    return assert_statements


def _wanted(item: pytest.Item) -> _Wanted:
    marker = item.get_closest_marker("sqla_safe")
    own = _Wanted() if marker is None else _read(marker, item.nodeid)
    config = item.config
    mode = config.stash[_mode] if own.mode is None else own.mode
    leaks = own.leaks
    if leaks is None:
        leaks = bool(config.getoption("--sqla-safe-leaks") or config.getini("sqla_safe_leaks"))
    return _Wanted(mode, leaks)


def _read(marker: pytest.Mark, test: str) -> _Wanted:
    try:
        return _Wanted(*marker.args, **marker.kwargs)
    except TypeError:
        msg = f"the marker of {test} is not {_MARKER}"
        raise pytest.UsageError(msg) from None


def _turn(mode: Any, where: str) -> Callable[[], None]:
    """Set the mode of every guard there is; return how to undo it."""
    if mode not in _MODES:
        msg = f"{where}: {mode!r} is none of {', '.join(_MODES)}"
        raise pytest.UsageError(msg)
    from sqla_safe.guard import install  # noqa: PLC0415  (imports SQLAlchemy)
    from sqla_safe.guard._makers import turn_all  # noqa: PLC0415  (the same)

    stack = ExitStack()
    stack.enter_context(install(mode))
    stack.callback(turn_all(mode))
    return stack.close


@contextmanager
def _watched(config: pytest.Config) -> Generator[None]:
    from sqla_safe.ext._testing._leaks import Watch  # noqa: PLC0415  (imports SQLAlchemy)

    watch = config.stash[_watching] = Watch()
    try:
        yield
    finally:
        watch.stop()
        del config.stash[_watching]
