"""Asking for the rows of many parents at once, in the way that each database does best."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

from sqlalchemy import (
    ARRAY,
    Integer,
    String,
    TypeDecorator,
    Uuid,
    and_,
    any_,
    bindparam,
    column,
    func,
    or_,
    select,
    tuple_,
)

from sqla_safe.views._dialects import kept_on

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import ColumnElement
    from sqlalchemy.engine import Dialect

    Parameters = Callable[..., "dict[str, Any] | None"]
    """Makes a statement's parameters of keys, for a dialect."""

_NAME = "sqla_safe_keys"
CHUNKS = {"mysql": 100_000, "mariadb": 100_000, "sqlite": 30_000, "postgresql": 30_000}
"""Keys in one statement, where they cannot be sent as one value; 1,000 for other databases."""

_WITHOUT_ROWS = ("mssql",)
"""Databases that cannot compare several columns at once."""
_NUL = rb"\u0000"
"""What SQLite ends a text of JSON at."""
_ROWS = 100
"""Keys in one statement there: all their columns are parameters, of which it takes 2,100."""


class Asking(NamedTuple):
    """A condition on the key columns, and how its parameters are made from a list of keys."""

    condition: ColumnElement[bool]
    parameters: Callable[[list[Any], Dialect], dict[str, Any] | None]
    """Gives None for keys that cannot be sent so: they take the plain way."""
    chunk: int | None = None
    """How many keys a statement takes; None for any number."""


def ask(dialect: Dialect, keys: Sequence[Any], *, is_plain: bool = False) -> Asking:
    """Return the condition by which rows of any number of keys are found.

    The plain way takes any keys: each is a parameter, as SQLAlchemy sends it.
    """
    is_wrapped = any(_is_wrapped(key.type, dialect) for key in keys)
    if len(keys) > 1 and (is_wrapped or dialect.name in _WITHOUT_ROWS):
        return _one_by_one(keys)
    if is_plain or is_wrapped:
        return _expanding(keys, CHUNKS.get(dialect.name, 1_000))
    if dialect.name == "postgresql":
        return _array(keys) if len(keys) == 1 else _arrays(keys)
    if dialect.name == "sqlite" and all(_is_json(key.type, dialect) for key in keys):
        return _json(dialect, keys)
    return _expanding(keys, CHUNKS.get(dialect.name, 1_000))


def _array(keys: Sequence[Any]) -> Asking:
    [key] = keys
    return Asking(key == any_(bindparam(_NAME, type_=ARRAY(key.type))), _named)


def _named(values: list[Any], _: Dialect) -> dict[str, Any]:
    return {_NAME: values}


def _arrays(keys: Sequence[Any]) -> Asking:
    names = [f"{_NAME}_{place}" for place in range(len(keys))]
    binds = [bindparam(name, type_=ARRAY(key.type)) for name, key in zip(names, keys, strict=True)]
    columns = [column(f"k{place}", key.type) for place, key in enumerate(keys)]
    table = func.unnest(*binds).table_valued(*columns, name="keys").render_derived()

    def parameters(values: list[Any], _: Dialect) -> dict[str, Any]:
        return dict(zip(names, map(list, zip(*values, strict=True)), strict=True))

    return Asking(tuple_(*keys).in_(select(*table.c)), parameters)


def _json(dialect: Dialect, keys: Sequence[Any]) -> Asking:
    table = func.json_each(bindparam(_NAME, type_=String())).table_valued("value")
    binders, as_json = _Binders([key.type for key in keys], dialect), _json_writer()
    if len(keys) == 1:
        return Asking(keys[0].in_(select(table.c.value)), _single(binders, as_json))
    parts = [func.json_extract(table.c.value, f"$[{place}]") for place in range(len(keys))]

    def parameters(values: list[Any], dialect: Dialect) -> dict[str, Any] | None:
        columns = zip(zip(*values, strict=True), binders.of(dialect), strict=True)
        bound = [_bound(list(part), binder) for part, binder in columns]
        return as_json(list(zip(*bound, strict=True))) if all(map(_are_json, bound)) else None

    return Asking(tuple_(*keys).in_(select(*parts)), parameters)


def _single(binders: _Binders, as_json: Parameters) -> Parameters:
    if binders.everywhere == [None]:
        return as_json

    def parameters(values: list[Any], dialect: Dialect) -> dict[str, Any] | None:
        bound = _bound(values, binders.of(dialect)[0])
        return as_json(bound) if _are_json(bound) else None

    return parameters


class _Binders:
    """What turns keys into values of the database, None for as is."""

    __slots__ = ("__weakref__", "_kinds", "everywhere")

    def __init__(self, kinds: list[Any], dialect: Dialect) -> None:
        self._kinds = kinds
        is_free = any(isinstance(kind, TypeDecorator) for kind in kinds)
        self.everywhere = None if is_free else self._made(dialect)
        """The same for all dialects of a name; None where each may have its own."""

    def of(self, dialect: Dialect) -> list[Any]:
        """Return them as they are for a dialect: a user's own type may ask which one it is."""
        if self.everywhere is not None:
            return self.everywhere
        kept = kept_on(dialect)
        found: list[Any] | None = kept.get(self)
        if found is None:
            found = kept[self] = self._made(dialect)
        return found

    def _made(self, dialect: Dialect) -> list[Any]:
        return [kind.dialect_impl(dialect).bind_processor(dialect) for kind in self._kinds]


def _are_json(values: list[Any]) -> bool:
    """Say whether values are sent as JSON has them, whatever a type of the user's is made of."""
    return all(isinstance(value, (str, int)) for value in values)


def _json_writer() -> Parameters:
    from msgspec.json import encode  # noqa: PLC0415  (it takes longer to import than all the rest)

    def as_json(values: list[Any], _dialect: Dialect | None = None) -> dict[str, Any] | None:
        text = encode(values)
        return None if _NUL in text else {_NAME: text.decode()}

    return as_json


def _bound(values: list[Any], binder: Any) -> list[Any]:
    return values if binder is None else [binder(value) for value in values]


def _is_wrapped(kind: Any, dialect: Dialect) -> bool:
    """Say whether a type puts each parameter into an expression."""
    # An IN leaves that out where it compares several columns at once.
    impl = kind.dialect_impl(dialect)
    return impl.bind_expression(bindparam(_NAME, type_=impl)) is not None


def _is_json(kind: Any, dialect: Dialect) -> bool:
    """Say whether the database's own values of a type are numbers or texts."""
    kind = kind.dialect_impl(dialect)
    inner = getattr(kind, "impl_instance", kind)
    return isinstance(inner, (Integer, String, Uuid))


def _expanding(keys: Sequence[Any], chunk: int) -> Asking:
    bind = cast("Any", bindparam(_NAME, expanding=True))
    where: Any = keys[0] if len(keys) == 1 else tuple_(*keys)
    return Asking(where.in_(bind), _named, chunk // len(keys))


def _one_by_one(keys: Sequence[Any]) -> Asking:
    """Always as many keys, so that it is one statement; the last one stands for those too many."""
    names = [[f"{_NAME}_{row}_{place}" for place in range(len(keys))] for row in range(_ROWS)]
    rows = [
        and_(*(key == bindparam(name, type_=key.type) for key, name in zip(keys, row, strict=True)))
        for row in names
    ]

    def parameters(values: list[Any], _: Dialect) -> dict[str, Any]:
        padded = [*values, *[values[-1]] * (_ROWS - len(values))]
        pairs = zip(names, padded, strict=True)
        return {name: part for row, key in pairs for name, part in zip(row, key, strict=True)}

    return Asking(or_(*rows), parameters, _ROWS)
