"""`inject`: services with further dependencies, built by type in one scope."""

from __future__ import annotations

import inspect
import sys
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar, Union, get_args, get_origin

from sqla_safe._locations import is_own
from sqla_safe.errors import ServiceBuildError
from sqla_safe.services._build import (
    build,
    check_callable,
    parameters_of,
    service_name,
    session_types,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import Session

T = TypeVar("T")


class Injected(Generic[T]):
    """A class together with the way to build it from a session; made by `inject`.

    It is itself a service: ``scoped_services(Session, inject(TimezoneHandler))``.
    """

    __slots__ = ("cls", "constants")

    def __init__(self, cls: Callable[..., T], constants: dict[str, Any]) -> None:
        self.cls: Callable[..., T] = cls
        self.constants: dict[str, Any] = constants

    def __call__(self, session: AsyncSession | Session) -> T:
        """Build the service and everything it needs from a session, outside any scope."""
        return Builder(session, {}).get(self)  # type: ignore[no-any-return]  # built from self.cls

    def __repr__(self) -> str:
        return f"inject({service_name(self.cls)})"


def inject(cls: Callable[..., T], /, **constants: Any) -> Injected[T]:
    """Turn a class with further dependencies into a service.

    Parameters annotated with a session type get the session. Parameters annotated with a class are
    built in the same scope, recursively, and are the scope's own instances. Parameters with a
    default keep it. The rest is given as keyword arguments.

    Args:
        cls: the class (or function) to build.
        **constants: values for parameters that cannot be built, such as settings.

    Returns:
        A callable to pass to `scoped_services` or to ``scope.get``.

    Raises:
        ServiceBuildError: ``cls`` cannot be called, or a constant names no parameter; at entry into
            the scope also for a cycle or for a parameter that cannot be built, with the chain that
            led to it.

    Example:
        >>> from sqlalchemy.orm import Session
        >>> class Users:
        ...     def __init__(self, session: Session) -> None: ...
        >>> class Clock:
        ...     def __init__(self, users: Users, zone: str) -> None:
        ...         self.users, self.zone = users, zone
        >>> inject(Clock, zone="Europe/Moscow")
        inject(Clock)
    """
    check_callable(cls)
    parameters = parameters_of(cls)
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for name in constants:
        if name not in parameters and not takes_any:
            raise ServiceBuildError(
                service=service_name(cls),
                problem=f"it has no parameter `{name}`",
                instead=f"one of {', '.join(f'`{p}`' for p in parameters) or 'none'}",
            )
    return Injected(cls, constants)


def get_service(session: Any, instances: dict[Any, Any], service: Any) -> Any:
    """Return a scope's instance of a service; a plain class, the usual case, needs no builder."""
    if type(service) is not type:
        return Builder(session, instances).get(service)
    if service not in instances:
        instances[service] = build(service, session)
    return instances[service]


KNOWN: set[Sequence[Any]] = set()
"""What was built from a `Session` before, all of it plain classes: it needs no check any more."""
KNOWN_ASYNC: set[Sequence[Any]] = set()
"""The same for an `AsyncSession`."""
_MOST = 1024
"""How much is remembered; a program that makes more classes must not keep them all alive."""


def get_services(
    session: Any, instances: dict[Any, Any], services: Sequence[Any], known: set[Sequence[Any]]
) -> Any:
    """Return a scope's instances of several services: one as it is, more as a tuple.

    Args:
        session: what they are built from.
        instances: what the scope has built so far.
        services: what was asked for.
        known: `KNOWN` or `KNOWN_ASYNC`, as the session is.
    """
    try:
        is_known = services in known
    except TypeError:  # one that cannot be hashed is no plain class
        is_known = False
    if not is_known:
        built = tuple([get_service(session, instances, service) for service in services])
        _remember(services, known)
        return built[0] if len(built) == 1 else built
    for service in services:
        if service not in instances:
            instances[service] = service(session)
    if len(services) == 1:
        return instances[services[0]]
    return tuple(map(instances.__getitem__, services))


def _remember(services: Sequence[Any], known: set[Sequence[Any]]) -> None:
    if all(type(service) is type for service in services):
        if len(known) >= _MOST:
            known.clear()
        known.add(services)


class Builder:
    """Builds services for one session; the same service asked twice is the same instance."""

    __slots__ = ("_chain", "_instances", "_session")

    def __init__(self, session: Any, instances: dict[Any, Any]) -> None:
        self._session = session
        self._instances = instances
        self._chain: tuple[Any, ...] = ()

    def get(self, service: Any) -> Any:
        """Return the instance for a service, built on first demand."""
        key = service
        if isinstance(service, Injected) and not service.constants:
            key = service.cls  # a class built by type is the same service as the class itself
        try:
            known = key in self._instances
        except TypeError:  # a callable that cannot be hashed is told by its identity
            key = _Same(key)
            known = key in self._instances
        if not known:
            self._instances[key] = self._build(service)
        return self._instances[key]

    def _build(self, service: Any) -> Any:
        if not isinstance(service, Injected):
            return build(service, self._session)
        return self._build_injected(service)  # pyright: ignore[reportUnknownArgumentType]

    def _build_injected(self, service: Injected[Any]) -> Any:
        if service.cls in self._chain:
            self._chain = (*self._chain, service.cls)
            raise self._error(service.cls, "its dependencies form a cycle", "break the cycle")
        around = self._chain
        self._chain = (*around, service.cls)
        try:
            arguments = self._arguments(service)
            by_position = [
                arguments.pop(name)
                for name, parameter in parameters_of(service.cls).items()
                if parameter.kind is parameter.POSITIONAL_ONLY and name in arguments
            ]
            return service.cls(*by_position, **arguments)
        finally:
            self._chain = around

    def _arguments(self, service: Injected[Any]) -> dict[str, Any]:
        arguments = dict(service.constants)
        parameters = parameters_of(service.cls)
        for name, parameter in parameters.items():
            if name in arguments or parameter.kind in _VARIADIC:
                continue
            if session_types(parameter.annotation) or _is_bare_session(parameter, parameters):
                arguments[name] = self._checked_session(service.cls, parameter)
            elif parameter.default is parameter.empty:
                arguments[name] = self._dependency(service.cls, parameter)
        return arguments

    def _checked_session(self, cls: Any, parameter: inspect.Parameter) -> Any:
        kinds = session_types(parameter.annotation)
        if kinds and not isinstance(self._session, tuple(kinds)):
            raise self._error(
                cls,
                f"its parameter `{parameter.name}` takes {kinds[0].__name__}, but this scope has "
                f"{type(self._session).__name__}",
                "open the scope from the other kind of sessionmaker",
            )
        return self._session

    def _dependency(self, cls: Any, parameter: inspect.Parameter) -> Any:
        wanted = _class_of(parameter.annotation)
        if wanted is None:
            raise self._error(
                cls,
                f"nothing says how to build its parameter `{parameter.name}`",
                f"inject({service_name(cls)}, {parameter.name}=...)",
            )
        return self.get(Injected(wanted, {}))

    def _error(self, cls: Any, problem: str, instead: str) -> ServiceBuildError:
        if len(self._chain) > 1:
            problem += f" (chain: {' -> '.join(map(service_name, self._chain))})"
        return ServiceBuildError(service=service_name(cls), problem=problem, instead=instead)


class _Same:
    """Stands for a callable that cannot be hashed, as a key."""

    __slots__ = ("_callable",)

    def __init__(self, function: Any) -> None:
        self._callable = function

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other._callable is self._callable

    def __hash__(self) -> int:
        return id(self._callable)


def _class_of(annotation: Any) -> type | None:
    """Return the class that a parameter asks for, also by `Annotated` or `Optional`.

    None where there is none to build: no class at all, one of Python's own (a `Decimal` made of
    nothing is no service) or of ours, a protocol or an abstract class.
    """
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType):
        members = [one for one in get_args(annotation) if one is not type(None)]
        annotation = members[0] if len(members) == 1 else None
    if not isinstance(annotation, type) or annotation is inspect.Parameter.empty:
        return None
    own = annotation.__module__ not in sys.stdlib_module_names or _is_shadowing(annotation)
    own = own and not annotation.__module__.startswith("sqla_safe.")  # a scope is not made so
    is_open = inspect.isabstract(annotation) or getattr(annotation, "_is_protocol", False)
    return annotation if own and not is_open else None


def _is_shadowing(cls: type) -> bool:
    """Say whether the class is of a user's module that has the name of one of Python's own."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return file is not None and is_own(file)


_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _is_bare_session(
    parameter: inspect.Parameter, parameters: dict[str, inspect.Parameter]
) -> bool:
    """Say whether an unannotated parameter is the session: by its name, or because it is alone."""
    if parameter.annotation is not parameter.empty:
        return False
    required = [p for p in parameters.values() if p.default is p.empty]
    return parameter.name == "session" or required == [parameter]
