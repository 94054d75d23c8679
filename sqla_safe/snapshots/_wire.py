"""Values on the wire: what `dumps` writes for a column of values, and how `loads` reads it.

Most columns hold one type, whose name is the kind, and become a list of plain values: those that
msgpack and JSON have types for, or short texts. Values that nest are one JSON text for the whole
column, and when they are not JSON themselves, tagged one by one. Reading calls nothing but the
constructors in `_forms`.
"""

from __future__ import annotations

import datetime as dt
import enum
import math
from collections import Counter
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec

from sqla_safe.snapshots._forms import FORMS, KINDS, NoFormError, zone_key
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
    if len(types) == 1 and (kind := KINDS.get(next(iter(types)))):
        if kind == "datetime":
            return _write_datetimes(column)
        return kind, _each(FORMS[kind].write, column), ""
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
    zoned = list(map(zone_key, values)).count(None)
    if 0 < zoned < len(values):
        return TAGGED, [], write_text(column)
    kind = "datetime" if zoned else "zoned"
    return kind, _each(FORMS[kind].write, column), ""


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
    if kind in KINDS:
        is_zoned = kind is dt.datetime and zone_key(value) is not None
        name = "zoned" if is_zoned else KINDS[kind]
        return [name, FORMS[name].write(value)]
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
    return _each(FORMS[kind].read, plain)


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
    return FORMS[tag].read(data)
