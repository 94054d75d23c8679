"""Values on the wire: what `dumps` writes for a column of values, and how `loads` reads it.

A column is written as a kind and a list. Most columns hold one type, whose name is the kind; the
others are tagged value by value. Reading calls nothing but the constructors in this module.
"""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import enum
import ipaddress
import math
import uuid
from collections import Counter
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from sqla_safe.snapshots._values import FrozenDict, type_of

if TYPE_CHECKING:
    from collections.abc import Callable

NATIVE = "native"
JSON = "json"
TAGGED = "tagged"
ENUM = "enum"
FLAG = "flag"

_NATIVE: frozenset[type] = frozenset({int, float, str, bool, type(None)})
_SMALL = 2**63
_FEW = 16
_EMPTY: FrozenDict[Any, Any] = FrozenDict()


class NoFormError(Exception):
    """A value of a type that has no form on the wire."""

    def __init__(self, kind: type) -> None:
        super().__init__(kind.__qualname__)
        self.kind = kind


class _Form(NamedTuple):
    """How values of one type are written as text, and read again."""

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


def _write_bytes(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _read_bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _write_time(value: dt.time) -> str:
    if value.tzinfo is not None and value.utcoffset() is None:
        raise NoFormError(type(value))  # a zone without a date has no offset to write
    return value.isoformat()


def _write_timedelta(value: dt.timedelta) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


def _read_timedelta(parts: list[int]) -> dt.timedelta:
    days, seconds, microseconds = parts
    return dt.timedelta(days, seconds, microseconds)


def _write_complex(value: complex) -> list[float]:
    return [value.real, value.imag]


def _read_complex(parts: list[float]) -> complex:
    real, imaginary = parts
    return complex(real, imaginary)


_FORMS: dict[str, _Form] = {
    "int": _Form(str, int),
    "float": _Form(str, float),
    "bytes": _Form(_write_bytes, _read_bytes),
    "complex": _Form(_write_complex, _read_complex),
    "Decimal": _Form(str, decimal.Decimal),
    "datetime": _Form(dt.datetime.isoformat, dt.datetime.fromisoformat),
    "date": _Form(dt.date.isoformat, dt.date.fromisoformat),
    "time": _Form(_write_time, dt.time.fromisoformat),
    "timedelta": _Form(_write_timedelta, _read_timedelta),
    "UUID": _Form(str, uuid.UUID),
    "IPv4Address": _Form(str, ipaddress.IPv4Address),
    "IPv6Address": _Form(str, ipaddress.IPv6Address),
    "IPv4Network": _Form(str, ipaddress.IPv4Network),
    "IPv6Network": _Form(str, ipaddress.IPv6Network),
    "IPv4Interface": _Form(str, ipaddress.IPv4Interface),
    "IPv6Interface": _Form(str, ipaddress.IPv6Interface),
}
_KINDS: dict[type, str] = {
    bytes: "bytes",
    complex: "complex",
    decimal.Decimal: "Decimal",
    dt.datetime: "datetime",
    dt.date: "date",
    dt.time: "time",
    dt.timedelta: "timedelta",
    uuid.UUID: "UUID",
    **{getattr(ipaddress, name): name for name in _FORMS if name.startswith("IPv")},
}


# --- writing -----------------------------------------------------------------


def write_column(column: list[Any]) -> tuple[str, list[Any]]:
    """Return the kind of a column and what to write for each of its values.

    Raises:
        NoFormError: for a value of a type that has no form.
    """
    types = set(map(type, column))
    if types <= _NATIVE and not _has_odd(types, column):
        return NATIVE, column
    types.discard(type(None))
    if len(types) == 1 and (kind := _KINDS.get(types.pop())):
        return kind, _each(_FORMS[kind].write, column)
    if all(isinstance(value, enum.Flag) or value is None for value in column):
        return FLAG, _each(attrgetter("value"), column)
    if all(isinstance(value, enum.Enum) or value is None for value in column):
        return ENUM, _each(attrgetter("name"), column)
    if all(map(_is_json, column)):
        return JSON, column
    return TAGGED, [write_tagged(value) for value in column]


def write_tagged(value: Any) -> Any:
    """Return one value with the name of its form, unless msgpack and JSON have its type."""
    kind = type_of(value)
    if kind is FrozenDict:
        return ["dict", [[write_tagged(key), write_tagged(item)] for key, item in value.items()]]
    if kind is tuple:
        return ["tuple", [write_tagged(item) for item in value]]
    if kind is frozenset:
        return ["set", [write_tagged(item) for item in value]]
    if kind in _NATIVE:
        return [kind.__name__, str(value)] if _is_odd(value) else value
    if kind in _KINDS:
        return [_KINDS[kind], _FORMS[_KINDS[kind]].write(value)]
    for base in (str, int, float):
        if isinstance(value, base) and not isinstance(value, enum.Enum):
            return write_tagged(base(value))
    raise NoFormError(kind)


def _has_odd(types: set[type], column: list[Any]) -> bool:
    if float in types:
        return any(map(_is_odd, column))
    if int not in types:
        return False
    numbers = column if types == {int} else [value for value in column if type(value) is int]
    return not -_SMALL <= min(numbers) <= max(numbers) < _SMALL


def require_distinct(members: list[Any]) -> None:
    """Refuse members of which many share a hash: a set of those takes quadratic time.

    Raises:
        ValueError: nobody has such sets by accident.
    """
    if len(members) > _FEW and max(Counter(map(hash, members)).values()) > _FEW:
        raise ValueError("members whose hashes collide")


def _is_odd(value: Any) -> bool:
    """Integers of more than 64 bits, and the floats that JSON has no form for."""
    if type(value) is int:
        return not -_SMALL <= value < _SMALL
    return type(value) is float and not math.isfinite(value)


def _is_json(value: Any) -> bool:
    kind = type_of(value)
    if kind is tuple:
        return all(map(_is_json, value))
    if kind is FrozenDict:
        return all(type(key) is str for key in value) and all(map(_is_json, value.values()))
    return kind in _NATIVE and not _is_odd(value)


# --- reading -----------------------------------------------------------------


def read_column(kind: str, values: list[Any], enum_class: type[enum.Enum] | None) -> list[Any]:
    """Return the values of a column; whatever is wrong with them raises a common exception."""
    if kind == NATIVE:
        if not _NATIVE.issuperset(map(type, values)):
            raise ValueError("a container among plain values")
        return values
    if kind == JSON:
        return [_read_json(value) for value in values]
    if kind == TAGGED:
        return [read_tagged(value) for value in values]
    if kind == FLAG and enum_class is not None and issubclass(enum_class, enum.Flag):
        return _each(enum_class, values)
    read = enum_class.__getitem__ if kind == ENUM and enum_class else _FORMS[kind].read
    return _each(read, values)


def _each(convert: Callable[[Any], Any], values: list[Any]) -> list[Any]:
    if None in values:
        return [None if value is None else convert(value) for value in values]
    return list(map(convert, values))


def _read_json(value: Any) -> Any:
    kind = type_of(value)
    if kind is list:
        return tuple([_read_json(item) for item in value])
    if kind is dict:
        if not value:
            return _EMPTY
        return FrozenDict({key: _read_json(item) for key, item in value.items()})
    return value


def read_tagged(value: Any) -> Any:
    """Return one value from what `write_tagged` made of it."""
    kind = type_of(value)
    if kind is not list:
        if kind not in _NATIVE:
            raise ValueError("an untagged container")
        return value
    tag, data = value
    if tag == "dict":
        keys = [read_tagged(key) for key, _ in data]
        require_distinct(keys)
        return FrozenDict(zip(keys, [read_tagged(item) for _, item in data], strict=True))
    if tag == "tuple":
        return tuple([read_tagged(item) for item in data])
    if tag == "set":
        items = [read_tagged(item) for item in data]
        require_distinct(items)
        return frozenset(items)
    return _FORMS[tag].read(data)
