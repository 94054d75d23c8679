"""Reading annotations: names resolved, type variables filled in, and what a type is made of."""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections import abc
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar, Union, get_args, get_origin

import typing_extensions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_WRAPPERS = (
    typing_extensions.Required,
    typing_extensions.NotRequired,
    typing_extensions.ReadOnly,
    typing.Required,
    typing.NotRequired,
    typing.Final,
)
_ALIASES: tuple[Any, ...] = (
    typing_extensions.TypeAliasType,
    getattr(typing, "TypeAliasType", typing_extensions.TypeAliasType),
)
_UNEVALUATED = typing_extensions.Format.FORWARDREF
NONE = type(None)
_LOCALS = ".<locals>."

SEQUENCES: dict[Any, str] = {
    list: "list",
    abc.MutableSequence: "list",
    tuple: "tuple",
    abc.Sequence: "tuple",
    abc.Collection: "tuple",
    abc.Iterable: "tuple",
    frozenset: "frozenset",
    abc.Set: "frozenset",
    set: "set",
    abc.MutableSet: "set",
    dict: "dict",
    abc.Mapping: "dict",
    abc.MutableMapping: "dict",
}
"""What is built for a collection of this type."""


class Hint(NamedTuple):
    """A field's type in parts."""

    text: str
    members: tuple[Any, ...]
    """The alternatives of a union, without None; one for everything else."""
    is_optional: bool
    metadata: tuple[Any, ...]


def read_hint(annotation: Any) -> Hint:
    """Take a type apart: wrappers off, aliases followed, unions flattened."""
    metadata: list[Any] = []
    members: list[Any] = []
    _flatten(annotation, members, metadata)
    return Hint(
        type_name(annotation),
        tuple([member for member in members if member is not NONE]),
        NONE in members,
        tuple(metadata),
    )


def _flatten(annotation: Any, members: list[Any], metadata: list[Any]) -> None:
    annotation, found = strip(annotation)
    metadata += found
    if get_origin(annotation) in (Union, types.UnionType):
        for member in get_args(annotation):
            _flatten(member, members, metadata)
    elif annotation not in members:
        members.append(NONE if annotation is None else annotation)


def strip(annotation: Any) -> tuple[Any, list[Any]]:
    """Take off `Annotated`, `Required` and the like, aliases and `NewType`."""
    metadata: list[Any] = []
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation, *found = get_args(annotation)
            metadata += found
        elif origin in _WRAPPERS:
            [annotation] = get_args(annotation)
        elif isinstance(annotation, _ALIASES):
            annotation = annotation.__value__
        elif isinstance(origin, _ALIASES):
            annotation = origin.__value__[get_args(annotation)]
        elif isinstance(annotation, typing.NewType):
            annotation = annotation.__supertype__
        else:
            return annotation, metadata


def type_name(annotation: Any) -> str:
    """Return a type as one writes it."""
    annotation, _ = strip(annotation)
    if annotation is NONE:
        return "None"
    if annotation is Ellipsis:
        return "..."
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return " | ".join(map(type_name, arguments))
    if origin is typing.Literal:
        return f"Literal[{', '.join(map(repr, arguments))}]"
    if origin is not None and arguments:
        return f"{type_name(origin)}[{', '.join(map(type_name, arguments))}]"
    return getattr(annotation, "__name__", None) or str(annotation)


def collection_of(member: Any) -> tuple[str, Any, Any] | None:
    """Return what a collection type is built as, its key type and its element type."""
    origin, arguments = get_origin(member), get_args(member)
    kind = SEQUENCES.get(origin)
    if kind is None:
        return None
    if kind == "dict":
        return (kind, *arguments) if len(arguments) == 2 else None  # noqa: PLR2004
    if origin is tuple:
        variadic = len(arguments) == 2 and arguments[1] is Ellipsis  # noqa: PLR2004
        return (kind, None, arguments[0]) if variadic else None
    return (kind, None, arguments[0])


def own_hints(cls: Any) -> dict[str, Any]:
    """Return the annotations of a class, generic bases filled in.

    Raises:
        NameError: a name in an annotation cannot be found.
    """
    origin = get_origin(cls) or cls
    hints: dict[str, Any] = {}
    filled = _filled(cls)
    for base in reversed(origin.__mro__):
        names = typing_extensions.get_annotations(base, format=_UNEVALUATED)
        if names:
            found = _hints_of(base, names)
            variables = filled.get(base, {})
            hints |= {name: substitute(found[name], variables) for name in found}
    return hints


def _hints_of(base: Any, names: Iterable[str]) -> dict[str, Any]:
    found = _evaluated(base, base)
    return {name: found[name] for name in names if name in found}


def _evaluated(annotated: Any, cls: Any) -> dict[str, Any]:
    """Return annotations as they are where a class stands."""
    module = sys.modules.get(cls.__module__)
    local: dict[str, Any] = {**_around(cls), cls.__name__: cls}
    around = vars(module) if module else {}
    return typing_extensions.get_type_hints(annotated, around, local, include_extras=True)


def _around(cls: Any) -> dict[str, Any]:
    """Return the variables of the functions that a class was defined in, while they run.

    It must be among them: another call of the same function has other classes of the same names.
    """
    outer, *rest = str(cls.__qualname__).split(_LOCALS)
    functions = [_LOCALS.join((outer, *rest[:place])) for place in range(len(rest))]
    found: dict[str, Any] = {}
    is_ours = False
    for frame in _frames() if functions else ():
        name, variables = frame.f_code.co_qualname, frame.f_locals
        if name not in functions or frame.f_globals.get("__name__") != cls.__module__:
            continue
        if name == functions[-1] and not is_ours:
            is_ours = variables.get(cls.__name__) is cls
        if is_ours:
            found = {**variables, **found}
    return found


def _frames() -> Iterator[types.FrameType]:
    """Give the callers, also those on the far side of the greenlets that SQLAlchemy runs in."""
    frame = inspect.currentframe()
    module: Any = sys.modules.get("greenlet")
    current = module.getcurrent() if module is not None else None
    while frame is not None:
        yield frame
        frame = frame.f_back
        while frame is None and current is not None:
            current = current.parent
            frame = None if current is None else current.gr_frame


def _filled(cls: Any) -> dict[Any, dict[Any, Any]]:
    """Return what the type variables of a class and its bases stand for, by class."""
    origin = get_origin(cls) or cls
    variables = dict(zip(getattr(origin, "__parameters__", ()), get_args(cls), strict=False))
    found = {origin: variables}
    for base in getattr(origin, "__orig_bases__", ()):
        if get_origin(base) not in (None, typing.Generic, typing.Protocol):
            found |= _filled(substitute(_without_texts(base, origin), variables))
    for base in origin.__bases__:
        if base not in found and base is not object:
            found = {**_filled(base), **found}
    return found


def _without_texts(base: Any, cls: Any) -> Any:
    """Return a base of a class with the arguments that it names as texts."""
    if not _has_texts(base):
        return base
    return _evaluated(types.SimpleNamespace(__annotations__={"base": base}), cls)["base"]


def _has_texts(annotation: Any) -> bool:
    return isinstance(annotation, typing.ForwardRef) or any(map(_has_texts, get_args(annotation)))


def substitute(annotation: Any, variables: dict[Any, Any]) -> Any:
    """Put types in the place of type variables."""
    if isinstance(annotation, TypeVar):
        return variables.get(annotation, annotation)
    parameters = getattr(annotation, "__parameters__", ())
    if not variables or not parameters or isinstance(annotation, type):
        return annotation
    return annotation[tuple([variables.get(one, one) for one in parameters])]
