"""Values that cannot be changed: what a snapshot keeps of columns and collections."""

from __future__ import annotations

import copy
import datetime as dt
import decimal
import enum
import fractions
import ipaddress
import pathlib
import types
import uuid
import zoneinfo
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Never, TypeVar

from typing_extensions import TypeIs

from sqla_safe.errors import FrozenSnapshotError

K = TypeVar("K")
V = TypeVar("V")

Freezer = Callable[[Any], Any]


class FrozenDict(dict[K, V]):
    """A dict that cannot be changed: JSON columns and keyed collections of a snapshot.

    It is a real dict, so that `json`, msgspec, orjson, pydantic and ``**`` take it as it is; it
    can be hashed when its values can. ``dict(value)`` or ``value.copy()`` gives one to change.

    >>> settings = FrozenDict(theme="dark")
    >>> settings["theme"]
    'dark'
    >>> settings | {"size": 2}
    {'theme': 'dark', 'size': 2}

    Raises:
        FrozenSnapshotError: from everything that would change it.
    """

    __slots__ = ()

    if not TYPE_CHECKING:  # the signatures are those of dict

        def __new__(cls, *args: Any, **kwargs: Any) -> FrozenDict[Any, Any]:
            self = super().__new__(cls)
            dict.__init__(self, *args, **kwargs)
            return self

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            """Nothing: it can be called again, and `__new__` cannot."""

    def _refuse(self: Any, *_: Any, **__: Any) -> Never:
        raise FrozenSnapshotError(what="a dict", instead="change a copy of it: value.copy()")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]  # dict's is None
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return FrozenDict, (dict(self),)

    def __copy__(self) -> FrozenDict[K, V]:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenDict[K, V]:
        return self


# Types whose values nobody can change. Subclasses of them are added as they are met.
PLAIN: set[type] = {
    *(bool, int, float, complex, str, bytes, type(None), type(...), range),
    *(decimal.Decimal, fractions.Fraction, uuid.UUID),
    *(dt.datetime, dt.date, dt.time, dt.timedelta, dt.timezone),
    *(zoneinfo.ZoneInfo, ipaddress.IPv4Address, ipaddress.IPv6Address),
    *(ipaddress.IPv4Network, ipaddress.IPv6Network),
    *(ipaddress.IPv4Interface, ipaddress.IPv6Interface),
    *(type, types.FunctionType, types.BuiltinFunctionType),
}
_PLAIN_BASES = (enum.Enum, pathlib.PurePath, type, *(PLAIN - {type(None), type(...)}))

_freezers: dict[type, Freezer] = {}


def types_in(column: list[Any]) -> set[type[Any]]:
    """Return the types of some values; twice as fast as a set, as most columns have only one."""
    kinds: list[type[Any]] = list(map(type, column))
    if kinds and kinds.count(kinds[0]) == len(kinds):
        return {kinds[0]}
    return set(kinds)


def freeze(value: Any) -> Any:
    """Return a value equal to this one that nobody can change, sharing nothing that changes."""
    kind = type_of(value)
    if kind in PLAIN:
        return value
    freezer = _freezers.get(kind)
    if freezer is None:
        freezer = _freezers[kind] = _freezer(kind)
    return freezer(value)


def is_plain(value: Any) -> bool:
    """Say whether nobody can change a value, by its type."""
    kind = type_of(value)
    return kind in PLAIN or _is_plain(kind)


def freeze_mapping(value: Mapping[Any, Any]) -> FrozenDict[Any, Any]:
    """Return a mapping whose values are frozen."""
    return FrozenDict({freeze(key): freeze(item) for key, item in value.items()})


def melt(value: Any) -> Any:
    """Return a value as the column's type knows it: dicts, lists and sets that may be changed."""
    if is_frozen_dict(value):
        return {key: melt(item) for key, item in value.items()}
    kind = type_of(value)
    if kind is tuple:
        return [melt(item) for item in value]
    if kind is frozenset:
        return set(value)
    make = _maker_of(kind)
    if make is not None:
        return make(map(melt, value))
    return _rebuilt(value, melt) if is_frozen_dataclass(kind) else value


def _freeze_sequence(value: Iterable[Any]) -> tuple[Any, ...]:
    return tuple([freeze(item) for item in value])


def _freeze_set(value: Iterable[Any]) -> frozenset[Any]:
    return frozenset([freeze(item) for item in value])


def _freezer(kind: type[Any]) -> Freezer:
    """Choose how values of a type are frozen; only types nobody has met yet come here."""
    if kind is FrozenDict:
        return _same
    make = _maker_of(kind)
    if make is not None:
        return lambda value: make(map(freeze, value))
    for base, freezer in _CONTAINERS:
        if issubclass(kind, base):
            return freezer
    if _is_plain(kind):
        PLAIN.add(kind)
        return _same
    if is_frozen_dataclass(kind):
        return _freeze_dataclass
    return copy.deepcopy


_CONTAINERS: tuple[tuple[type, Freezer], ...] = (
    (Mapping, freeze_mapping),
    (list, _freeze_sequence),
    (tuple, _freeze_sequence),
    (AbstractSet, _freeze_set),
    (bytearray, bytes),
    (memoryview, bytes),
)


def _same(value: Any) -> Any:
    return value


def _maker_of(kind: type[Any]) -> Callable[[Iterable[Any]], Any] | None:
    """Return what makes a named tuple of its items, None for classes of anything else."""
    named: type[Any] = kind
    return getattr(named, "_make", None) if issubclass(kind, tuple) else None


def is_frozen_dataclass(kind: type[Any]) -> bool:
    """Say whether a class is a dataclass with ``frozen=True``."""
    parameters: Any = getattr(kind, "__dataclass_params__", None)
    return bool(parameters and parameters.frozen)


def _is_plain(kind: type) -> bool:
    """A subclass of a plain type is plain when its instances have no attributes of their own."""
    if issubclass(kind, (enum.Enum, pathlib.PurePath, type)):
        return True
    return issubclass(kind, _PLAIN_BASES) and not kind.__dictoffset__


def _freeze_dataclass(value: Any) -> Any:
    return _rebuilt(value, freeze)


def _rebuilt(value: Any, convert: Callable[[Any], Any]) -> Any:
    """A frozen dataclass is kept when its fields need no change, else copied with changed ones."""
    names = [field.name for field in fields(value)]
    held = [getattr(value, name) for name in names]
    converted = [convert(item) for item in held]
    if all(map(_is, held, converted)):
        return value
    twin = copy.copy(value)
    for name, item in zip(names, converted, strict=True):
        object.__setattr__(twin, name, item)
    return twin


def _is(one: object, other: object) -> bool:
    return one is other


# --- questions whose answers type checkers understand -------------------------
#
# Where a value is Any, isinstance() and type() leave pyright with containers of unknown items.


type_of: Callable[[Any], type[Any]] = type
"""The same function: an alias, so that it costs nothing in loops."""


def is_dict(value: Any) -> TypeIs[dict[Any, Any]]:
    """Say whether a value is a dict."""
    return isinstance(value, dict)


def is_frozen_dict(value: Any) -> TypeIs[FrozenDict[Any, Any]]:
    """Say whether a value is a `FrozenDict`."""
    return isinstance(value, FrozenDict)


def is_frozenset(value: Any) -> TypeIs[frozenset[Any]]:
    """Say whether a value is a frozenset."""
    return isinstance(value, frozenset)


def is_tuple(value: Any) -> TypeIs[tuple[Any, ...]]:
    """Say whether a value is a tuple."""
    return isinstance(value, tuple)


def is_set(value: Any) -> TypeIs[set[Any] | frozenset[Any]]:
    """Say whether a value is a set, frozen or not."""
    return isinstance(value, (set, frozenset))


def is_frozen_collection(value: Any) -> TypeIs[tuple[Any, ...] | frozenset[Any]]:
    """Say whether a value is what a collection becomes in a snapshot, unless it is keyed."""
    return isinstance(value, (tuple, frozenset))


def is_iterable(value: Any) -> TypeIs[Iterable[Any]]:
    """Say whether a value can be iterated over."""
    return isinstance(value, Iterable)
