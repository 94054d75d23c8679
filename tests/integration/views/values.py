"""Values of many types, and kinds of classes to show them in, for tests with random rows."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Callable
from dataclasses import dataclass, make_dataclass
from decimal import Decimal
from typing import Any, NamedTuple, cast

import attrs
import msgspec
import pydantic
from hypothesis import strategies as st
from sqlalchemy import ARRAY, PickleType, String, TypeDecorator
from typing_extensions import TypedDict


class Level(enum.Enum):
    LOW = "low"
    HIGH = "high"


class Rank(enum.IntEnum):
    FIRST = 1
    LAST = 9


@dataclass(frozen=True, order=True)
class Cents:
    """Money as the application sees it."""

    amount: int


class InCents(TypeDecorator[Cents]):
    """Stores cents as text; NULL is read as no cents, which only the decorator knows."""

    impl = String(30)
    cache_ok = True

    def process_bind_param(self, value: Cents | None, dialect: Any) -> str | None:
        return None if value is None else f"c{value.amount}"

    def process_result_value(self, value: str | None, dialect: Any) -> Cents:
        return Cents(int(value[1:])) if value else Cents(0)


def array_of(kind: Any) -> Any:
    """Return an array where the database has arrays."""
    return PickleType().with_variant(ARRAY(kind), "postgresql")


# --- random values -----------------------------------------------------------

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
LONGS = st.integers(-(2**63), 2**63 - 1)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
MOMENTS = st.datetimes(dt.datetime(1971, 1, 2), dt.datetime(2037, 1, 1))  # noqa: DTZ001
OFFSETS = st.integers(-12, 12).map(lambda hours: dt.timezone(dt.timedelta(hours=hours)))
AWARE = st.builds(lambda moment, zone: moment.replace(tzinfo=zone), MOMENTS, OFFSETS)


def decimals(places: int) -> st.SearchStrategy[Decimal]:
    """Return amounts with so many places."""
    return st.decimals(-9_999_999, 9_999_999, places=places)


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": TEXTS,
    "big": LONGS,
    "flag": st.booleans(),
    "money": decimals(4),
    "number": st.floats(-1e15, 1e15, allow_nan=False).filter(
        lambda one: abs(one) > 1e-200 or not one
    ),
    "by_name": st.sampled_from(Level),
    "by_value": st.sampled_from(Level),
    "rank": st.sampled_from(Rank),
    "data": DOCUMENTS,
    "raw": st.binary(max_size=20),
    "day": st.dates(dt.date(1000, 1, 1)),
    "hour": st.times(),
    "naive": MOMENTS,
    "aware": AWARE,
    "span": st.timedeltas(dt.timedelta(0), dt.timedelta(days=9_999)),
    "token": st.uuids(version=4),
    "token_text": st.uuids(version=4).map(str),
    "cents": st.integers(0, 10**9).map(Cents),
    "numbers": st.lists(LONGS | st.none(), max_size=3),
    "prices": st.lists(decimals(2) | st.none(), max_size=3),
    "levels": st.lists(st.sampled_from(Level) | st.none(), max_size=3),
}

# --- kinds of classes --------------------------------------------------------

Fields = dict[str, Any]
KINDS: dict[str, Callable[[Fields], Any]] = {
    "frozen dataclass": lambda own: make_dataclass("A", own.items(), frozen=True, slots=True),
    "dataclass": lambda own: make_dataclass("B", own.items(), kw_only=True),
    "msgspec": lambda own: msgspec.defstruct("C", list(own.items()), frozen=True),
    "attrs": lambda own: attrs.make_class("D", {n: attrs.field(type=t) for n, t in own.items()}),
    "NamedTuple": lambda own: cast("Any", NamedTuple)("E", own.items()),
    "TypedDict": lambda own: cast("Any", TypedDict)("F", own),
    "pydantic": lambda own: pydantic.create_model(
        "G",
        __config__=pydantic.ConfigDict(arbitrary_types_allowed=True),
        **cast("Any", {name: (kind, ...) for name, kind in own.items()}),
    ),
}
