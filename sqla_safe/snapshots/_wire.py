"""Values on the wire: what `dumps` writes for a column of values, and how `loads` reads it.

Most columns hold one type, whose name is the kind, and become a list of plain values: those that
msgpack and JSON have types for, or short texts. Values that nest are one JSON text for the whole
column, and when they are not JSON themselves, tagged one by one. Reading calls nothing but the
constructors in this module.
"""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import enum
import ipaddress
import math
import re
import uuid
import zoneinfo
from collections import Counter
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from sqla_safe.snapshots._values import FrozenDict, type_of, types_in

if TYPE_CHECKING:
    from collections.abc import Callable

NATIVE = "native"
JSON = "json"
TAGGED = "tagged"
ENUM = "enum"
FLAG = "flag"

_NATIVE: frozenset[type] = frozenset({int, float, str, bool, type(None)})
_TEXTS: frozenset[type] = frozenset({str, type(None)})
_SMALL = 2**63
_FEW = 16
_NESTED = (list, dict)
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


def _zone_key(value: dt.datetime) -> str | None:
    """Return the name of a time zone, None where there is none, or only an offset."""
    return value.tzinfo.key if isinstance(value.tzinfo, zoneinfo.ZoneInfo) else None


def _write_zoned(value: dt.datetime) -> str:
    """Return what the clock on the wall says, and where; an offset would miss folds and gaps."""
    wall = value.replace(tzinfo=None).isoformat()
    return f"{wall}{'~' * value.fold}[{_zone_key(value)}]"


def _read_zoned(text: str) -> dt.datetime:
    wall, key = text.removesuffix("]").split("[")
    if not _ZONE.fullmatch(key):
        raise ValueError("no name of a time zone")
    moment = dt.datetime.fromisoformat(wall.removesuffix("~"))
    return moment.replace(tzinfo=zoneinfo.ZoneInfo(key), fold=int(wall.endswith("~")))


_ZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")


def _write_timedelta(value: dt.timedelta) -> str:
    return f"{value.days} {value.seconds} {value.microseconds}"


def _read_timedelta(text: str) -> dt.timedelta:
    days, seconds, microseconds = map(int, text.split())
    return dt.timedelta(days, seconds, microseconds)


def _write_complex(value: complex) -> str:
    return f"{value.real!r} {value.imag!r}"


def _read_complex(text: str) -> complex:
    real, imaginary = map(float, text.split())
    return complex(real, imaginary)


_FORMS: dict[str, _Form] = {
    "int": _Form(str, int),
    "float": _Form(str, float),
    "bytes": _Form(_write_bytes, _read_bytes),
    "complex": _Form(_write_complex, _read_complex),
    "Decimal": _Form(str, decimal.Decimal),
    "datetime": _Form(dt.datetime.isoformat, dt.datetime.fromisoformat),
    "zoned": _Form(_write_zoned, _read_zoned),
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


def write_column(column: list[Any], *, careful: bool) -> tuple[str, list[Any], str]:
    """Return the kind of a column and what to write: a value for each of its own, or a text.

    Args:
        column: the values, at least one.
        careful: whether to look for numbers that msgpack or JSON have no form for. It takes time,
            and msgpack itself refuses the only ones that it lacks, integers of more than 64 bits.

    Raises:
        NoFormError: for a value of a type that has no form.
    """
    types = types_in(column)
    if types <= _NATIVE and not (careful and _has_odd(types, column)):
        return NATIVE, column, ""
    types.discard(type(None))
    if len(types) == 1 and (kind := _KINDS.get(next(iter(types)))):
        if kind == "datetime":
            return _write_datetimes(column)
        return kind, _each(_FORMS[kind].write, column), ""
    return _write_others(column)


def _write_others(column: list[Any]) -> tuple[str, list[Any], str]:
    if all(isinstance(value, enum.Flag) or value is None for value in column):
        return FLAG, _each(_flag_text, column), ""
    if all(isinstance(value, enum.Enum) or value is None for value in column):
        return ENUM, _each(attrgetter("name"), column), ""
    if all(map(_is_json, column)):
        return JSON, [], msgspec.json.encode(column).decode()
    return TAGGED, [], write_text(column)


def _write_datetimes(column: list[dt.datetime | None]) -> tuple[str, list[Any], str]:
    values = [value for value in column if value is not None]
    zones = set(map(attrgetter("tzinfo"), values))
    if zones <= {None, dt.UTC}:
        return "datetime", msgspec.to_builtins(column), ""  # isoformat(), at a third of the time
    zoned = list(map(_zone_key, values)).count(None)
    if 0 < zoned < len(values):
        return TAGGED, [], write_text(column)
    kind = "datetime" if zoned else "zoned"
    return kind, _each(_FORMS[kind].write, column), ""


def _flag_text(value: enum.Flag) -> str:
    return str(value.value)


def write_text(column: list[Any]) -> str:
    """Return values with the names of their forms, as one JSON text.

    Raises:
        NoFormError: for a value of a type that has no form.
    """
    return msgspec.json.encode(list(map(_write_tagged, column))).decode()


def _write_tagged(value: Any) -> Any:
    """Return one value with the name of its form, unless JSON has its type."""
    kind = type_of(value)
    if kind is FrozenDict:
        return ["dict", [[_write_tagged(key), _write_tagged(item)] for key, item in value.items()]]
    if kind in (tuple, frozenset):
        return ["tuple" if kind is tuple else "set", list(map(_write_tagged, value))]
    if kind in _NATIVE:
        return [kind.__name__, str(value)] if _is_odd(value) else value
    if kind in _KINDS:
        is_zoned = kind is dt.datetime and _zone_key(value) is not None
        name = "zoned" if is_zoned else _KINDS[kind]
        return [name, _FORMS[name].write(value)]
    for base in (str, int, float):
        if isinstance(value, base) and not isinstance(value, enum.Enum):
            return _write_tagged(base(value))
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


def read_column(kind: str, plain: list[Any], text: str, enum_class: Any) -> list[Any]:
    """Return the values of a column; whatever is wrong with them raises a common exception."""
    if kind == NATIVE:
        return plain
    if kind == JSON:
        values = msgspec.json.decode(text, type=list[Any])
        _freeze_items(values)
        return values
    if kind == TAGGED:
        return read_text(text)
    if not types_in(plain) <= _TEXTS:
        raise ValueError("a value that is no text, and of no type of its own either")
    if kind == FLAG and issubclass(enum_class, enum.Flag):
        return _each(lambda number: enum_class(int(number)), plain)
    if kind == ENUM and issubclass(enum_class, enum.Enum):
        return _each(enum_class.__members__.__getitem__, plain)
    return _each(_FORMS[kind].read, plain)


def _each(convert: Callable[[Any], Any], values: list[Any]) -> list[Any]:
    if None in values:
        return [None if value is None else convert(value) for value in values]
    return list(map(convert, values))


def _freeze_items(values: list[Any]) -> None:
    """Freeze JSON values where they are, so that no two forms of all of them exist at a time."""
    for place, item in enumerate(values):
        if type(item) in _NESTED:
            values[place] = _read_json(item)


def _read_json(value: Any) -> Any:
    if type_of(value) is list:
        _freeze_items(value)
        return tuple(value)
    if not value:
        return _EMPTY
    for key, item in value.items():
        if type(item) in _NESTED:
            value[key] = _read_json(item)
    return FrozenDict(value)


def read_text(text: str) -> list[Any]:
    """Return the values that `write_text` was given."""
    values = msgspec.json.decode(text, type=list[Any])
    for place, item in enumerate(values):
        values[place] = _read_tagged(item)
    return values


def _read_tagged(value: Any) -> Any:
    """Return one value from what `_write_tagged` made of it."""
    kind = type_of(value)
    if kind is not list:
        if kind not in _NATIVE:
            raise ValueError("an untagged container")
        return value
    tag, data = value
    if tag == "dict":
        keys = [_read_tagged(key) for key, _ in data]
        require_distinct(keys)
        return FrozenDict(zip(keys, [_read_tagged(item) for _, item in data], strict=True))
    if tag == "tuple":
        return tuple(map(_read_tagged, data))
    if tag == "set":
        items = list(map(_read_tagged, data))
        require_distinct(items)
        return frozenset(items)
    return _FORMS[tag].read(data)
