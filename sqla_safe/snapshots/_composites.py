"""Composite attributes of a snapshot: built from the captured columns, and frozen like them."""

from __future__ import annotations

import operator
from dataclasses import fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqla_safe.errors import FrozenSnapshotError
from sqla_safe.snapshots._values import freeze, is_frozen_dataclass, type_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Never

    from sqlalchemy.orm import CompositeProperty


def composite_property(composite: CompositeProperty[Any]) -> property:
    """Return a property that builds the composite value from the columns behind it."""
    names = [attribute.key for attribute in composite.props]
    build: Callable[..., Any] = composite.composite_class
    is_none = getattr(composite, "return_none_on", None)  # SQLAlchemy 2.1

    def read(snap: Any) -> Any:
        values = [getattr(snap, name) for name in names]
        if callable(is_none) and is_none(*values):
            return None
        return freeze_composite(build(*values))

    return property(read)


def freeze_composite(value: Any) -> Any:
    """Return a value that cannot be changed: the same one, or one of a frozen subclass."""
    kind: Any = type_of(value)
    if isinstance(value, tuple) or is_frozen_dataclass(kind):
        return freeze(value)
    try:
        object.__setattr__(value, "__class__", _frozen_kind(kind))
    except TypeError:  # a C class, or a layout of its own: at least nobody shares it
        return value
    return value


def values_of(value: Any) -> tuple[Any, ...]:
    """Return the column values of a composite."""
    if hasattr(value, "__composite_values__"):
        return tuple(value.__composite_values__())
    return tuple([getattr(value, field.name) for field in fields(value)])


@lru_cache(maxsize=1024)
def _frozen_kind(kind: Any) -> type[Any]:
    """Make the frozen subclass of a composite class; it equals what it was made from."""

    def refuse(_: Any, name: str, _value: object = None, /) -> Never:
        raise FrozenSnapshotError(
            what=f"{kind.__name__}.{name} of a composite in a snapshot",
            instead=f"make a new {kind.__name__}(...) and use replace(snapshot, ...)",
        )

    names: dict[str, Any] = {
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
        "__slots__": (),
        "__new__": _make_unfrozen(kind),
        "__setattr__": refuse,
        "__delattr__": refuse,
        "__reduce_ex__": _reduce(kind),
        "__copy__": _itself,
        "__deepcopy__": _itself,
    }
    # What dataclasses generate compares with their very own class only.
    names |= {name: _comparison(kind, name) for name in _comparisons(kind)}
    if getattr(kind, "__hash__", None) is None or "__eq__" in names:
        names["__hash__"] = _hash
    return type(kind.__name__, (kind,), names)


def _comparisons(kind: Any) -> list[str]:
    parameters: Any = getattr(kind, "__dataclass_params__", None)
    if parameters is None:
        return []
    ordering = ["__lt__", "__le__", "__gt__", "__ge__"] if parameters.order else []
    return ["__eq__", *ordering] if parameters.eq else ordering


def _comparison(kind: type[Any], name: str) -> Callable[[Any, Any], Any]:
    compare: Callable[[Any, Any], Any] = getattr(operator, name)

    def compared(self: Any, other: Any) -> Any:
        if not isinstance(other, kind):
            return NotImplemented
        return compare(values_of(self), values_of(other))

    return compared


def _make_unfrozen(kind: Callable[..., Any]) -> Callable[..., Any]:
    """``type(self)(...)`` in a method of the user's means the composite class."""

    def make(_: Any, *args: Any, **kwargs: Any) -> Any:
        return kind(*args, **kwargs)

    return make


def _reduce(kind: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    def reduce(value: Any, _: Any) -> Any:
        return _rebuild, (kind, values_of(value))

    return reduce


def _itself(value: Any, _memo: Any = None) -> Any:
    return value


def _hash(value: Any) -> int:
    return hash(values_of(value))


def _rebuild(kind: Callable[..., Any], values: tuple[Any, ...]) -> Any:
    return freeze_composite(kind(*values))
