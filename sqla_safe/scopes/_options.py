"""The options of one block: which combinations exist, and which a join can honour."""

from __future__ import annotations

import reprlib
from typing import Any, Literal, NamedTuple, get_args

from sqla_safe.errors import ScopeOptionError
from sqla_safe.scopes._policy import check_flag, check_seconds

Propagation = Literal["required", "nested", "requires_new", "mandatory", "never"]
_PROPAGATIONS: tuple[str, ...] = get_args(Propagation)


class ScopeOptions(NamedTuple):
    """What the caller of `scoped_services` asked for."""

    propagation: Propagation = "required"
    read_only: bool = False
    isolation_level: str | None = None
    timeout: float | None = None


DEFAULT = ScopeOptions()


def make_options(
    propagation: Any, read_only: Any, isolation_level: Any, timeout: Any
) -> ScopeOptions:
    """Check the options by themselves, before anything is opened.

    Raises:
        ScopeOptionError: naming the values that exist.
    """
    if propagation not in _PROPAGATIONS:
        raise ScopeOptionError(
            problem=f"there is no propagation {reprlib.repr(propagation)}",
            instead=f"one of {', '.join(map(repr, _PROPAGATIONS))}",
        )
    check_seconds("timeout", timeout)
    check_flag("read_only", read_only)
    options = ScopeOptions(propagation, read_only, _normal(isolation_level), timeout)
    return DEFAULT if options == DEFAULT else options


def _normal(level: Any) -> str | None:
    if level is None:
        return None
    if not isinstance(level, str):
        raise ScopeOptionError(
            problem="isolation_level is not a string", instead='isolation_level="SERIALIZABLE"'
        )
    name = level.replace("_", " ").upper()
    if name == "AUTOCOMMIT":
        raise ScopeOptionError(
            problem="isolation_level='AUTOCOMMIT' has no transaction, and a scope is one",
            instead="run such statements on engine.connect()",
        )
    return name


def check_join(asked: ScopeOptions, outer: ScopeOptions, opened_at: object) -> None:
    """Refuse what a block cannot have because it joins the transaction of another one.

    Raises:
        ScopeOptionError: naming the option and the outer block's line.
    """
    if asked.isolation_level not in (None, outer.isolation_level):
        had = outer.isolation_level or "the database's default"
        raise _cannot(f"isolation level {asked.isolation_level}", had, opened_at)
    if outer.read_only and not asked.read_only:
        raise ScopeOptionError(
            problem=f"a read-write block cannot join the read-only scope opened at {opened_at}",
            instead='read_only=True here as well, or propagation="requires_new"',
        )
    if asked.timeout is not None and outer.timeout is not None and asked.timeout > outer.timeout:
        raise _cannot(f"a timeout of {asked.timeout:g} s", f"{outer.timeout:g} s", opened_at)


def _cannot(asked: str, had: str, opened_at: object) -> ScopeOptionError:
    return ScopeOptionError(
        problem=f"{asked} cannot be had by joining the scope opened at {opened_at}: it has {had}",
        instead='ask for it in the outer scope, or use propagation="requires_new"',
    )
