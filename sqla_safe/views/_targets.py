"""Reading the classes that views are made of, each kind in its own way.

Optional libraries are never imported here: a class of theirs brings its module along.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, get_origin

import typing_extensions

from sqla_safe.views import _construct
from sqla_safe.views._hints import Hint, own_hints, read_hint, strip

if TYPE_CHECKING:
    from sqla_safe.views._construct import Construct


class Field(NamedTuple):
    """A field that a view is given."""

    name: str
    hint: Hint
    converts: bool = False
    """Whether the class turns the value into something else itself, so that any type may come."""
    coerces: bool = False
    """Whether the class accepts what can be read as its type, as pydantic does."""


class Target(NamedTuple):
    """A class that a view is made of."""

    cls: Any
    """The class itself, its type arguments included."""
    fields: tuple[Field, ...]
    construct: Construct
    tag: Any = None
    """What tells it from the other classes of a union, where it has such a thing."""

    @property
    def name(self) -> str:
        """The name of the class."""
        return str(origin_of(self.cls).__name__)


NOT_A_TARGET = (
    "is no dataclass, msgspec.Struct, attrs class, NamedTuple, TypedDict or pydantic model; make "
    "it one of these, such as @dataclass(frozen=True, slots=True)"
)
MAPPED = (
    "is a mapped class; write a class of its own with the fields that you want, such as a "
    "@dataclass(frozen=True, slots=True)"
)


class UnreadableError(Exception):
    """The fields of a class cannot be read; the text says why, and what to write instead."""


def origin_of(cls: Any) -> Any:
    """Return the class without its type arguments."""
    return get_origin(cls) or cls


def is_target(cls: Any) -> bool:
    """Say whether a type is a class that views can be made of."""
    origin = origin_of(strip(cls)[0])
    return isinstance(origin, type) and _reader(origin) is not None


def read_target(cls: Any, *, validate: bool = True) -> Target:
    """Read the fields of a class, and how to make one.

    Raises:
        UnreadableError: it is no class of a kind that we know, or names something unknown.
    """
    origin = origin_of(cls)
    reader = _reader(origin)
    if reader is None:
        raise UnreadableError(NOT_A_TARGET)
    try:
        target: Target = reader(cls, origin, validate)
    except NameError as error:
        raise UnreadableError(
            f"its annotation names {error.name!r}, which cannot be found in module "
            f"{origin.__module__}; define both at module level"
        ) from error
    except (AttributeError, TypeError, SyntaxError) as error:  # of what the user wrote
        raise UnreadableError(f"an annotation raised {type(error).__name__}: {error}") from error
    return target


def _reader(origin: Any) -> Any:  # noqa: PLR0911  (one for each kind)
    if not _is_class(origin) or hasattr(origin, "__mapper__"):  # an entity may be a dataclass too
        return None
    if dataclasses.is_dataclass(origin):
        return _read_dataclass
    if hasattr(origin, "__struct_fields__"):
        return _read_struct
    if hasattr(origin, "__attrs_attrs__"):
        return _read_attrs
    if hasattr(origin, "__pydantic_core_schema__") and hasattr(origin, "model_fields"):
        return _read_pydantic
    if tuple in origin.__mro__ and hasattr(origin, "_fields"):
        return _read_named_tuple
    if typing_extensions.is_typeddict(origin):
        return _read_typed_dict
    return None


def _is_class(value: Any) -> bool:
    return isinstance(value, type)


def _read_dataclass(cls: Any, origin: Any, _validate: bool) -> Target:  # noqa: FBT001
    hints = own_hints(cls)
    declared = origin.__dataclass_fields__.values()
    variables = {one.name for one in declared if _construct.is_init_var(one)}
    names = [one.name for one in dataclasses.fields(origin) if one.init]
    names += [name for name in variables if not _has_default(origin, name)]
    converts = "__pydantic_validator__" in vars(origin)
    return Target(
        cls,
        tuple([_field(name, _of_variable(hints[name]), coerces=converts) for name in names]),
        _construct.dataclass_constructor(origin, by_name=bool(variables)),
    )


def _has_default(origin: Any, name: str) -> bool:
    return origin.__dataclass_fields__[name].default is not dataclasses.MISSING


def _of_variable(annotation: Any) -> Any:
    """What ``__init__`` is given besides the fields is a value like any other."""
    return getattr(annotation, "type", annotation)


def _read_struct(cls: Any, origin: Any, _validate: bool) -> Target:  # noqa: FBT001
    hints = own_hints(cls)
    return Target(
        cls,
        tuple([_field(name, hints[name]) for name in origin.__struct_fields__]),
        _construct.call(origin, positional=origin.__match_args__),
        tag=origin.__struct_config__.tag,
    )


def _read_attrs(cls: Any, origin: Any, _validate: bool) -> Target:  # noqa: FBT001
    hints = own_hints(cls)
    given = [field for field in origin.__attrs_attrs__ if field.init]
    names = {field: field.name.lstrip("_") for field in given}  # as attrs calls private ones
    fields = [
        _field(names[field], hints.get(field.name, Any), converts=field.converter is not None)
        for field in given
    ]
    positional = [names[field] for field in given if not field.kw_only]
    aliases = {names[field]: field.alias for field in given}
    return Target(cls, tuple(fields), _construct.call(origin, positional=positional, names=aliases))


def _read_named_tuple(cls: Any, origin: Any, _validate: bool) -> Target:  # noqa: FBT001
    hints = own_hints(cls)
    names: tuple[str, ...] = getattr(origin, "_fields", ())
    fields = [_field(name, hints.get(name, Any)) for name in names]
    return Target(cls, tuple(fields), _construct.named_tuple_constructor(origin))


def _read_typed_dict(cls: Any, origin: Any, _validate: bool) -> Target:  # noqa: FBT001
    hints: dict[str, Any] = {}
    for base in reversed(_typed_dict_bases(origin)):
        hints |= own_hints(base if base is not origin else cls)
    fields = [_field(name, hints[name]) for name in hints]
    return Target(cls, tuple(fields), _construct.dict_constructor())


def _typed_dict_bases(origin: Any) -> list[Any]:
    """A TypedDict's bases are not in its ``__mro__``."""
    bases = [
        found
        for base in getattr(origin, "__orig_bases__", ())
        if typing_extensions.is_typeddict(origin_of(base))
        for found in _typed_dict_bases(origin_of(base))
    ]
    return [origin, *bases]


def _read_pydantic(_cls: Any, origin: Any, validate: bool) -> Target:  # noqa: FBT001
    if not origin.__pydantic_complete__:
        origin.model_rebuild()
    before = _checked_before(origin)
    fields = [
        _field(
            name,
            Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation,
            converts=validate and (name in before or "*" in before or _has_validators(info)),
            coerces=validate,
        )
        for name, info in origin.model_fields.items()
    ]
    return Target(origin, tuple(fields), _construct.pydantic_constructor(origin, validate=validate))


def _checked_before(origin: Any) -> set[str]:
    decorators = origin.__pydantic_decorators__
    if any(one.info.mode != "after" for one in decorators.model_validators.values()):
        return {"*"}
    return {
        field
        for one in decorators.field_validators.values()
        if one.info.mode != "after"
        for field in one.info.fields
    }


def _has_validators(info: Any) -> bool:
    functional = sys.modules.get("pydantic.functional_validators")
    kinds = ("BeforeValidator", "PlainValidator", "WrapValidator")
    known = tuple([getattr(functional, kind) for kind in kinds]) if functional else ()
    return any(isinstance(one, known) for one in info.metadata)


def _field(name: str, annotation: Any, *, converts: bool = False, coerces: bool = False) -> Field:
    return Field(name, read_hint(annotation), converts, coerces)
