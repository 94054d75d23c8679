"""What the guard remembers: its mode, and one record for each use of a session."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from sqla_safe._idle import IdleWatch
from sqla_safe._locations import current_line
from sqla_safe.errors import ScopeOptionError
from sqla_safe.guard._sites import Site, shown, site

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqla_safe._locations import Place

Mode: TypeAlias = Literal["off", "report", "raise", "strict"]
"""How a guard speaks: not at all, in the log, in exceptions, or strictly (for tests)."""
MODES: tuple[Mode, ...] = ("off", "report", "raise", "strict")

Kind: TypeAlias = Literal["commit", "rollback", "failed flush", "flush", "savepoint", "by hand"]
_REMEMBERED = 16
"""The causes kept for each session: one per kind in use would do, but loops commit often."""
_SITES = 10_000


def check_mode(mode: object, name: str) -> None:
    """Refuse what is no mode.

    Raises:
        ScopeOptionError: the mode does not exist.
    """
    if mode not in MODES:
        raise ScopeOptionError(
            problem=f"{name} is none of {', '.join(map(repr, MODES))}", instead=f'{name}="raise"'
        )


class Guard:
    """The guard of one sessionmaker, or of all of them."""

    __slots__ = ("_told", "idle", "mode")

    def __init__(self, mode: Mode, idle: float | None = None) -> None:
        self.mode: Mode = mode
        self.idle = idle
        self._told: set[tuple[str | None, ...]] = set()

    @property
    def raises(self) -> bool:
        """Say whether it may raise what SQLAlchemy would not have raised, or later."""
        return self.mode in ("raise", "strict")

    def is_news(self, *what: str | None) -> bool:
        """Say whether this is told for the first time."""
        if what in self._told:
            return False
        if len(self._told) >= _SITES:
            self._told.clear()
        self._told.add(what)
        return True


@dataclass(frozen=True, slots=True)
class Cause:
    """Something that threw loaded values away."""

    kind: Kind
    what: str
    at: Place | None
    only: weakref.ref[Any] | None = None
    keys: frozenset[str] | None = None


class Record:
    """A session from its opening (or its first use) to its close."""

    # Most sessions need none of these: what is not set is not paid for.
    closed: Site = ()
    leaving: Site = ()
    is_closed = False
    is_async = False
    in_flush = False
    was_strict = False
    causes: Sequence[Cause] = ()
    counts: dict[Any, set[Any]] | None = None
    idle: IdleWatch | None = None
    opener: weakref.ref[Any] | None = None

    def __init__(self, guard: Guard, opened: Site) -> None:
        self.guard = guard
        self.opened = opened
        if guard.idle is not None:
            self.idle = IdleWatch(guard.idle, self.opened_at, "session")

    @property
    def opened_at(self) -> str:
        """``file:line`` of the block, or of the session where there is none."""
        return shown(self.opened[-1]) if self.opened else "an unknown line"

    def come(self, session: Any, what: str | None = None) -> None:
        """An operation begins: warn if the transaction was left open for long before it."""
        if self.idle is not None and session._sqs_unit is None and session.in_transaction():
            self.idle.check(what or current_line())

    def rest(self) -> None:
        """An operation has ended."""
        if self.idle is not None:
            self.idle.rest()

    def note(self, kind: Kind, what: str, only: Any = None, keys: Any = None) -> None:
        """Remember what threw values away just now: of all entities, or only those of one."""
        where = site() or self.leaving
        target = None if only is None else weakref.ref(only)
        names = None if keys is None else frozenset(map(str, keys))
        cause = Cause(kind, what, where[0] if where else None, target, names)
        self.causes = (*self.causes[-_REMEMBERED:], cause)
