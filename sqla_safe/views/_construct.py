"""The code that makes one object of a view's class from its values."""

from __future__ import annotations

import dataclasses
import inspect
import sysconfig
import types
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqla_safe.views._source import Source

_new_tuple = cast("Any", tuple).__new__
_NO_SWAP = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
"""Without the GIL every change of ``__class__`` stops all other threads."""


class Construct(Protocol):
    """Writes the lines that make one object, into a variable, from expressions by field."""

    def __call__(self, source: Source, variable: str, values: Mapping[str, str]) -> None:
        """Write them."""


def call(
    cls: Any, *, positional: Sequence[str] = (), names: Mapping[str, str] | None = None
) -> Construct:
    """Call the class: its hooks, converters and validators run."""
    renamed = names or {}

    def write(source: Source, variable: str, values: Mapping[str, str]) -> None:
        leading = _leading(positional, values)
        rest = [name for name in values if name not in leading]
        arguments = [values[name] for name in leading]
        arguments += [f"{renamed.get(name, name)}={values[name]}" for name in rest]
        source.add(f"{variable} = {source.name('K', cls)}({', '.join(arguments)})")

    return write


def _leading(positional: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """A positional argument can follow only those before it."""
    leading: list[str] = []
    for name in positional:
        if name not in values:
            break
        leading.append(name)
    return leading


def dict_constructor() -> Construct:
    """Write a dict."""

    def write(source: Source, variable: str, values: Mapping[str, str]) -> None:
        items = ", ".join(f"{name!r}: {value}" for name, value in values.items())
        source.add(f"{variable} = {{{items}}}")

    return write


def named_tuple_constructor(cls: Any) -> Construct:
    """Make the tuple at once, unless the class has a say in it."""
    if cls.__bases__ not in ((tuple,), (tuple, Generic)):
        return call(cls, positional=cls._fields)

    def write(source: Source, variable: str, values: Mapping[str, str]) -> None:
        new, kind = source.name("new_tuple", _new_tuple), source.name("K", cls)
        source.add(f"{variable} = {new}({kind}, ({', '.join(values.values())},))")

    return write


def dataclass_constructor(cls: Any, *, by_name: bool = False) -> Construct:
    """Fill the attributes directly where ``__init__`` would do no more than that."""
    parameters = cls.__dataclass_params__
    fields = [] if by_name else [one for one in dataclasses.fields(cls) if one.init]
    positional = [one.name for one in fields if not one.kw_only]
    if not _only_stores(cls):
        return call(cls, positional=positional, names=_keywords(cls))
    twin = _twin(cls) if parameters.frozen else cls
    if twin is None:
        return call(cls, positional=positional)
    return _filling(cls, twin)


def _keywords(cls: Any) -> dict[str, str]:
    """Return what a dataclass of pydantic calls its arguments: it has them by their aliases."""
    if "__pydantic_validator__" not in vars(cls):
        return {}
    return _input_keys(cls.__pydantic_fields__, cls.__pydantic_config__ or {})


def _only_stores(cls: Any) -> bool:
    parameters: Any = cls.__dataclass_params__
    setters = [base for base in cls.__mro__[:-1] if "__setattr__" in vars(base)]
    return (
        _kind(cls) is type
        and "__dataclass_fields__" in vars(cls)
        and parameters.init
        and not hasattr(cls, "__post_init__")
        and "__pydantic_validator__" not in vars(cls)
        and not any("__new__" in vars(base) for base in cls.__mro__[:-1])
        and all(field.init and not _is_shadowed(cls, field) for field in dataclasses.fields(cls))
        and all(_is_frozen(base) for base in setters)
        and not any(is_init_var(field) for field in cls.__dataclass_fields__.values())
    )


def _kind(value: Any) -> Any:
    return value.__class__


def _own(cls: Any) -> dict[str, Any]:
    return dict(cls.__dict__)


def is_init_var(field: Any) -> bool:
    """Say whether it is an argument of ``__init__`` that is no field."""
    return isinstance(field.type, dataclasses.InitVar) or "InitVar" in str(field.type)


def _is_frozen(base: Any) -> bool:
    parameters = _own(base).get("__dataclass_params__")
    return bool(parameters is not None and parameters.frozen)


def _is_shadowed(cls: Any, field: dataclasses.Field[Any]) -> bool:
    """A descriptor of the user's own takes what is stored."""
    for base in cls.__mro__:
        found = _own(base).get(field.name)
        if found is not None:
            return hasattr(found, "__set__") and not isinstance(found, types.MemberDescriptorType)
    return False


def _twin(cls: Any) -> Any:
    """Return a class of the same layout whose instances can be changed, None if there is none."""
    if _NO_SWAP or any("__init_subclass__" in vars(base) for base in _own_bases(cls)):
        return None
    members: dict[str, Any] = {
        "__slots__": _own(cls).get("__slots__"),
        "__setattr__": object.__setattr__,
        "__delattr__": object.__delattr__,
        "__init__": object.__init__,
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
    }
    if members["__slots__"] is None:
        del members["__slots__"]
    bases = getattr(cls, "__orig_bases__", cls.__bases__)
    try:
        twin = types.new_class(cls.__name__, bases, exec_body=lambda space: space.update(members))
        cast("Any", object.__new__(twin)).__class__ = cls
    except TypeError:  # another layout, such as with a __weakref__ on Python 3.11
        return None
    return twin


def _own_bases(cls: Any) -> list[Any]:
    return [base for base in cls.__mro__ if base not in (object, Generic, Protocol)]


def _filling(cls: Any, twin: Any) -> Construct:
    def write(source: Source, variable: str, values: Mapping[str, str]) -> None:
        kind = source.name("T", twin)
        empty = f"{source.name('new', object.__new__)}({kind})" if twin is cls else f"{kind}()"
        source.add(f"{variable} = {empty}")
        for name, value in values.items():
            source.add(f"{variable}.{name} = {value}")
        if twin is not cls:
            source.add(f"{variable}.__class__ = {source.name('K', cls)}")

    return write


def pydantic_constructor(cls: Any, *, validate: bool) -> Construct:
    """Validate the values, or put them into the model as they are."""
    if validate:
        return _validating(cls)
    hooks = cls.__pydantic_post_init__ or cls.__private_attributes__
    if hooks or cls.__pydantic_root_model__ or cls.model_config.get("extra") == "allow":
        return call(cls.model_construct)
    return _storing(cls)


def _validating(cls: Any) -> Construct:
    keys = _input_keys(cls.model_fields, cls.model_config)

    def write(source: Source, variable: str, values: Mapping[str, str]) -> None:
        items = ", ".join(f"{keys[name]!r}: {value}" for name, value in values.items())
        validate = source.name("validate", _validator(cls))
        source.add(f"{variable} = {validate}({{{items}}})")

    return write


def _validator(cls: Any) -> Callable[[Any], Any]:
    validate: Any = cls.model_validate
    is_plain = all(_plain_alias(name, info) for name, info in cls.model_fields.items())
    is_old = "by_name" not in inspect.signature(validate).parameters  # before pydantic 2.11
    found: Callable[[Any], Any] = validate
    return found if is_plain or is_old else partial(validate, by_name=True)


def _input_keys(fields: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, str]:
    """A model reads a field by its alias, unless it says that it does not."""
    if config.get("validate_by_alias") is False:
        return {name: name for name in fields}
    return {name: _plain_alias(name, info) or name for name, info in fields.items()}


def _plain_alias(name: str, info: Any) -> str | None:
    """Return the key that a field is read from, None where it is a path into other values."""
    alias = info.validation_alias
    choices = getattr(alias, "choices", None)
    if choices:
        alias = next((choice for choice in choices if isinstance(choice, str)), alias)
    if alias is None:
        return name
    return alias if isinstance(alias, str) else None


def _storing(cls: Any) -> Construct:
    """The fields that pydantic documents for its own ``model_construct``, shared where they can."""
    store = object.__setattr__

    def make(values: dict[str, Any]) -> Any:
        model = object.__new__(cls)
        store(model, "__dict__", values)
        store(model, "__pydantic_fields_set__", set(values))
        store(model, "__pydantic_extra__", None)
        store(model, "__pydantic_private__", None)
        return model

    def write(source: Source, variable: str, values: Mapping[str, str]) -> None:
        items = ", ".join(f"{name!r}: {value}" for name, value in values.items())
        source.add(f"{variable} = {source.name('model', make)}({{{items}}})")

    return write
