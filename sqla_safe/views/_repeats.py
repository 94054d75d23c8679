"""Statements that were met before: only the values of their parameters are new."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Select

from sqla_safe.views._selects import options_of, shape_of
from sqla_safe.views._unjoined import names_alias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy.engine import Dialect

    from sqla_safe.views._plan import Prepared

SHAPES = 128
"""Statements that are remembered for each view; the oldest is forgotten for another one."""

_NEVER_MET: Any = object()
_MET_ONCE: Any = object()


class Repeat(NamedTuple):
    """What is executed for every statement of a shape, and the names of what differs."""

    prepared: Prepared
    names: tuple[str, ...]


class Repeats:
    """The shapes of statements that a view was asked for."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}

    def find(
        self,
        statement: Any,
        params: Mapping[str, Any] | None,
        dialect: Dialect,
        prepare: Callable[[Any], Prepared],
    ) -> tuple[Prepared, dict[str, Any]] | None:
        """Return what was made ready for such a statement, and the values of this one.

        It is made ready the second time, since many a statement comes only once. A dialect knows
        what its server can do, such as a UUID of its own, only once it has been asked.
        """
        if dialect.server_version_info is None:  # of an engine that has not connected yet
            return None
        shape = _shape(statement)
        if shape is None:
            return None
        key = shape[0], dialect.name
        found = self._known.get(key, _NEVER_MET)
        if found is _NEVER_MET:
            self._keep(key, _MET_ONCE)
            return None
        if found is _MET_ONCE:
            found = self._keep(key, _ready(prepare(statement), shape[1], dialect))
        return None if found is None else _filled(found, shape[1], params)

    def _keep(self, key: Any, value: Any) -> Any:
        while len(self._known) >= SHAPES:
            with suppress(RuntimeError):  # another thread was quicker
                self._known.pop(next(iter(self._known), None), None)
        self._known[key] = value
        return value


def _shape(statement: Any) -> tuple[Any, Sequence[Any]] | None:
    """Return what a statement's shape is; None where it holds more than a shape and values."""
    if not isinstance(statement, Select):
        return None
    if statement.get_execution_options() or options_of(statement):
        return None
    return shape_of(statement)


def _filled(
    repeat: Repeat, binds: Sequence[Any], params: Mapping[str, Any] | None
) -> tuple[Prepared, dict[str, Any]] | None:
    """Return it with its values; None if one is missing, or meant for a name of the SQL alone."""
    if params:
        return _filled_with(params, repeat, binds)
    values = [bind.effective_value for bind in binds if not bind.required]
    if len(values) < len(binds):
        return None
    return repeat.prepared, dict(zip(repeat.names, values, strict=True))


def _filled_with(
    params: Mapping[str, Any], repeat: Repeat, binds: Sequence[Any]
) -> tuple[Prepared, dict[str, Any]] | None:
    given = {bind.key for bind in binds if bind.key in params}
    if len(given) < len(params) or any(one.required and one.key not in given for one in binds):
        return None
    values = [params[one.key] if one.key in given else one.effective_value for one in binds]
    return repeat.prepared, dict(zip(repeat.names, values, strict=True))


def _ready(prepared: Prepared, binds: Sequence[Any], dialect: Dialect) -> Repeat | None:
    """Return what can be repeated, None if something of this statement would be in the next one.

    That is so with a value where SQLAlchemy makes a parameter anew when it compiles, under another
    name; and with an alias that an Expr names, since the next statement may use it otherwise.
    """
    if names_alias(prepared.level, prepared.root):
        return None
    names = tuple([bind.key for bind in binds])
    compiled = prepared.root.compile(dialect=dialect)
    found = compiled.construct_params(dict.fromkeys(names, _MARK)) or {}
    is_all = len(set(names)) == len(names) and all(value is _MARK for value in found.values())
    return Repeat(prepared, names) if is_all else None


_MARK = object()
