"""The forms of single values: how a value of a type is written as a short text, and read again."""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import ipaddress
import re
import uuid
import zoneinfo
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable


class NoFormError(Exception):
    """A value of a type that has no form on the wire."""

    def __init__(self, kind: type) -> None:
        super().__init__(kind.__qualname__)
        self.kind = kind


class Form(NamedTuple):
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


def zone_key(value: dt.datetime) -> str | None:
    """Return the name of a time zone, None where there is none, or only an offset."""
    return value.tzinfo.key if isinstance(value.tzinfo, zoneinfo.ZoneInfo) else None


def _write_zoned(value: dt.datetime) -> str:
    """Return what the clock on the wall says, and where; an offset would miss folds and gaps."""
    wall = value.replace(tzinfo=None).isoformat()
    return f"{wall}{'~' * value.fold}[{zone_key(value)}]"


def _read_zoned(text: str) -> dt.datetime:
    wall, key = text.removesuffix("]").split("[")
    moment = dt.datetime.fromisoformat(wall.removesuffix("~"))
    return moment.replace(tzinfo=_zone(key), fold=int(wall.endswith("~")))


def _zone(key: str) -> zoneinfo.ZoneInfo:
    """Return the time zone of a name that nobody vouches for.

    Raises:
        ValueError: there is none.
    """
    if not _ZONE.fullmatch(key):
        raise ValueError("no name of a time zone")
    try:
        return zoneinfo.ZoneInfo(key)
    except OSError:  # where the zones come from `tzdata`: a folder, or longer than a file's name
        raise ValueError("no name of a time zone") from None


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


FORMS: dict[str, Form] = {
    "int": Form(str, int),
    "float": Form(str, float),
    "bytes": Form(_write_bytes, _read_bytes),
    "complex": Form(_write_complex, _read_complex),
    "Decimal": Form(str, decimal.Decimal),
    "datetime": Form(dt.datetime.isoformat, dt.datetime.fromisoformat),
    "zoned": Form(_write_zoned, _read_zoned),
    "date": Form(dt.date.isoformat, dt.date.fromisoformat),
    "time": Form(_write_time, dt.time.fromisoformat),
    "timedelta": Form(_write_timedelta, _read_timedelta),
    "UUID": Form(str, uuid.UUID),
    "IPv4Address": Form(str, ipaddress.IPv4Address),
    "IPv6Address": Form(str, ipaddress.IPv6Address),
    "IPv4Network": Form(str, ipaddress.IPv4Network),
    "IPv6Network": Form(str, ipaddress.IPv6Network),
    "IPv4Interface": Form(str, ipaddress.IPv4Interface),
    "IPv6Interface": Form(str, ipaddress.IPv6Interface),
}
KINDS: dict[type, str] = {
    bytes: "bytes",
    complex: "complex",
    decimal.Decimal: "Decimal",
    dt.datetime: "datetime",
    dt.date: "date",
    dt.time: "time",
    dt.timedelta: "timedelta",
    uuid.UUID: "UUID",
    **{getattr(ipaddress, name): name for name in FORMS if name.startswith("IPv")},
}
