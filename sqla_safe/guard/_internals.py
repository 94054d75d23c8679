"""The one place that knows SQLAlchemy's private names; see docs/en/explanation/decisions.md.

It reads which entity and attribute SQLAlchemy was working on from the frames of its functions, and
looks on when SQLAlchemy makes one of its errors. Whatever it does not find it does without.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import sqlalchemy.exc as sa_exc
import sqlalchemy.orm.exc as orm_exc
from sqlalchemy import util
from sqlalchemy.orm import InstanceState, InstrumentedAttribute, Session, strategies
from sqlalchemy.orm.interfaces import UserDefinedOption

from sqla_safe._locations import FOREIGN, KINDS, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import FrameType

HOOKED: tuple[type[Exception], ...] = (
    orm_exc.DetachedInstanceError,
    sa_exc.InvalidRequestError,
    sa_exc.StatementError,
)
"""Most others are InvalidRequestErrors: MissingGreenlet, PendingRollbackError, ..."""

_ACCESS = {
    "__get__": "was read",
    "__set__": "was set, which loads its old value,",
    "__delete__": "was deleted, which loads its old value,",
}
_MISSING = (
    "greenlet_spawn has not been called; can't call await_only() here. "
    "Was IO attempted in an unexpected place?"
)


class Access(NamedTuple):
    """What SQLAlchemy was doing when it raised."""

    state: InstanceState[Any] | None = None
    key: str | None = None
    verb: str = "was read"
    session: Session | None = None


@lru_cache(maxsize=1)
def _accessors() -> dict[int, str]:
    """Return the descriptor's methods, empty where they are not Python.

    By the ``id()`` of their code, which lives as long as they do: to hash code is slow.
    """
    methods = ((getattr(InstrumentedAttribute, name, None), verb) for name, verb in _ACCESS.items())
    codes = ((getattr(method, "__code__", None), verb) for method, verb in methods)
    return {id(code): verb for code, verb in codes if code is not None}


def access_in(frames: Iterable[FrameType]) -> Access:
    """Return what SQLAlchemy was doing, from its frames, innermost first.

    The outermost attribute is what the user's code named; those within it were read on the way.
    """
    found, accessors = Access(), _accessors()
    for frame in frames:
        kind = kind_of(frame.f_code.co_filename)
        if kind != FOREIGN:
            break
        verb = accessors.get(id(frame.f_code))
        values = frame.f_locals
        found = _named(found, values, verb) if verb else _guessed(found, values)
    return found


def _named(found: Access, values: dict[str, Any], verb: str) -> Access:
    state = getattr(values.get("instance"), "_sa_instance_state", None)
    if not isinstance(state, InstanceState):
        return found
    key = getattr(values.get("self"), "key", None)
    return found._replace(state=state, key=key, verb=verb)


def _guessed(found: Access, values: dict[str, Any]) -> Access:
    """Take the entity and the session that a function of SQLAlchemy works on."""
    me, state = values.get("self"), values.get("state")
    if found.state is None and isinstance(state, InstanceState):
        found = found._replace(state=state, key=getattr(me, "key", None))
    if found.session is None:
        others = (getattr(owner, "session", None) for owner in (me, values.get("context")))
        candidates = (me, values.get("session"), *others)
        session = next((c for c in candidates if isinstance(c, Session)), None)
        found = found._replace(session=session)
    return found


class Load(NamedTuple):
    """Why a statement is executed."""

    kind: Literal["statement", "eager", "lazy", "refresh"]
    access: Access = Access()

    @property
    def is_relationship(self) -> bool:
        """Say whether it loads entities that were not there."""
        state, key = self.access.state, self.access.key
        return state is not None and key is not None and key in state.mapper.relationships


_STATEMENT = Load("statement")
_EAGER = Load("eager")
_REFRESH = Load("refresh")
_STRATEGIES = strategies.__file__


def load_in(caller: FrameType | None) -> Load:
    """Return why SQLAlchemy executes a statement, from the frames of its functions."""
    found = _STATEMENT
    frame, accessors = caller, _accessors()
    while frame is not None:
        code = frame.f_code
        file = code.co_filename
        if KINDS[file] != FOREIGN:
            break
        if id(code) in accessors:
            return Load("lazy", access_in(frames_from(caller)))
        if file == _STRATEGIES:
            found = _EAGER  # unless an attribute that is read turns up further out
        elif code is _refresh_code:
            return _STATEMENT if found is _EAGER else _REFRESH
        frame = frame.f_back
    return found


_refresh_code = getattr(Session.refresh, "__code__", None)


def frames_from(frame: FrameType | None = None) -> Iterator[FrameType]:
    """Yield a frame (the running one, if none is given) and its callers."""
    frame = frame or sys._getframe()
    while frame is not None:
        yield frame
        frame = frame.f_back


# -- an option that each execution of a statement exchanges for one of its own ---------------------


class Exchanged(UserDefinedOption):
    """An option for loaded entities that differs from execution to execution.

    It has a part of the statement's cache key, lest SQLAlchemy take the compiled form of the same
    statement without it, where it would be lost. And SQLAlchemy asks it what the entities are to
    get, so that one statement with one option can be executed again and again.
    """

    __slots__ = ()
    propagate_to_loaders = True
    _is_has_cache_key = True

    def for_execution(self, context: Any) -> UserDefinedOption:
        """Return what entities get that are loaded by one execution."""
        raise NotImplementedError

    def _gen_cache_key(self, *_: Any) -> tuple[Any, ...]:
        return _KEY

    def _adapt_cached_option_to_uncached_option(self, context: Any, uncached_opt: Any) -> Any:
        try:
            return uncached_opt.for_execution(context)
        except Exception:  # noqa: BLE001  (on any doubt SQLAlchemy goes on with what it has)
            return self if uncached_opt is None else uncached_opt


_KEY = (Exchanged,)


def options_of(statement: Any) -> tuple[Any, ...]:
    """Return the options that a statement has; where they cannot be told, none."""
    return getattr(statement, "_with_options", ())


def with_option(statement: Any, option: UserDefinedOption) -> Any:
    """Return a statement with one option more, as its ``options()`` would.

    That looks twice at what it is given, and takes five times as long: a fifth of what the guard
    may cost.
    """
    try:
        marked = statement._generate()  # noqa: SLF001
        marked._with_options += (option,)  # noqa: SLF001
    except AttributeError:
        return statement.options(option)
    return marked


IS_EXCHANGED = hasattr(UserDefinedOption, "_adapt_cached_option_to_uncached_option")
"""Whether SQLAlchemy asks: else each execution needs an option, and a statement, of its own."""


# -- SQLAlchemy's errors, as they are made ---------------------------------------------------------

_originals: dict[type[Exception], Any] = {}


def watch_errors(enrich: Callable[[BaseException, FrameType], None]) -> None:
    """Have `enrich` look at each error that SQLAlchemy makes; once is enough."""
    for cls in HOOKED:
        if cls not in _originals:
            _watch(cls, enrich)


def _watch(cls: Any, enrich: Callable[[BaseException, FrameType], None]) -> None:
    inherited = cls.__init__
    _originals[cls] = cls.__dict__.get("__init__")

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        inherited(self, *args, **kwargs)
        with suppress(Exception):  # on any doubt the user gets SQLAlchemy's error as it is
            enrich(self, sys._getframe(1))

    cls.__init__ = __init__


def is_watching() -> bool:
    """Say whether SQLAlchemy's errors are looked at."""
    return bool(_originals)


def stop_watching() -> None:
    """Give SQLAlchemy's error classes back as they were."""
    for cls_, own in [(cls, _originals.pop(cls)) for cls in list(_originals)]:
        cls: Any = cls_
        if own is None:
            del cls.__init__
        else:
            cls.__init__ = own


# -- asyncio ---------------------------------------------------------------------------------------


def is_outside_greenlet() -> bool:
    """Say whether waiting for a database is impossible here; False where that is not known."""
    inside = getattr(getattr(util, "concurrency", None), "in_greenlet", None)
    return inside is not None and not inside()


def missing_greenlet() -> sa_exc.MissingGreenlet:
    """Return the error that SQLAlchemy raises for I/O outside a greenlet, in its own words."""

    async def never() -> None: ...

    coroutine = never()
    with suppress(Exception):
        try:
            util.await_only(coroutine)
        except sa_exc.MissingGreenlet as error:
            return sa_exc.MissingGreenlet(*error.args)
        finally:
            coroutine.close()
    return sa_exc.MissingGreenlet(_MISSING)


def wait_in_greenlet(is_over: Callable[[], bool], seconds: float) -> None:
    """Wait in the middle of an async session's operation until something is over."""
    if is_outside_greenlet() or not hasattr(util, "await_only"):
        return

    async def wait() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not is_over():  # noqa: ASYNC110  (nobody sets an event for us)
                    await asyncio.sleep(0.001)

    util.await_only(wait())
