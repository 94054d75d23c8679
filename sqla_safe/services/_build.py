"""Build a service from a session, and say plainly why when that cannot be done."""

from __future__ import annotations

import inspect
import sys
from functools import lru_cache
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from sqla_safe.errors import ServiceBuildError

if TYPE_CHECKING:
    from collections.abc import Callable

SESSION_TYPES = (Session, AsyncSession)


def service_name(service: object) -> str:
    """Return the name a user knows the service by."""
    return getattr(service, "__qualname__", None) or repr(service)


def build(service: Callable[[Any], Any], session: Any) -> Any:
    """Call the service with the session.

    Raises:
        ServiceBuildError: the callable needs more than a session, wants the other kind of session,
            or is an async function.
    """
    check = _check_class if type(service) is type else _check_kind
    check(service, isinstance(session, AsyncSession))
    try:
        return service(session)
    except TypeError as error:
        _explain_signature(service, error)
        raise


def _check_kind(service: Callable[[Any], Any], is_async: bool) -> None:  # noqa: FBT001  (lru_cache is quicker so)
    """Refuse what cannot be a service of this kind of session."""
    if getattr(service, "__name__", None) == "<lambda>":
        return
    check_callable(service)
    _refuse_session_class(service)
    wanted = _session_parameter_type(service)
    if wanted is None or issubclass(wanted, AsyncSession) == is_async:
        return
    given, maker = (
        ("AsyncSession", "sessionmaker") if is_async else ("Session", "async_sessionmaker")
    )
    raise ServiceBuildError(
        service=service_name(service),
        problem=f"its parameter takes {_article(wanted.__name__)}, but this scope has "
        f"{_article(given)}",
        instead=f"open the scope from {_article(maker)}, or let the service take {_article(given)}",
    )


_check_class = lru_cache(maxsize=1024)(_check_kind)


def check_callable(service: object) -> None:
    """Refuse what cannot be called with a session, or gives a coroutine.

    Raises:
        ServiceBuildError: it is not callable, or an async function.
    """
    if not callable(service):
        raise _not_callable(service)
    if is_async_callable(service):
        raise ServiceBuildError(
            service=service_name(service),
            problem="it is an async function, and a scope calls its services without awaiting them",
            instead="pass a plain function or class, and await its methods inside the block",
        )


def _not_callable(service: object) -> ServiceBuildError:
    kind = type(service)
    instead = "pass a class or function that takes the session"
    if issubclass(kind, (list, tuple, set, frozenset)):
        instead = "scoped_services(Session, *services)"
    return ServiceBuildError(
        service=kind.__name__,
        problem="an instance of it was given, which is not callable",
        instead=instead,
    )


def _refuse_session_class(service: object) -> None:
    """A session class would take the session for an engine, and make one of its own."""
    if isinstance(service, type) and issubclass(service, SESSION_TYPES):
        raise ServiceBuildError(
            service=service_name(service),
            problem="it is a session class, which takes an engine",
            instead="scope.session is the scope's session",
        )


def is_async_callable(function: object) -> bool:
    """Say whether calling this gives a coroutine: an async function, or an object that has one."""
    call = getattr(type(function), "__call__", None)  # noqa: B004  (its kind is asked, not whether it is there)
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def _article(name: str) -> str:
    return f"an {name}" if name[0].lower() in "aeiou" else f"a {name}"


def _session_parameter_type(service: Callable[[Any], Any]) -> type | None:
    """Return the one kind of session that the first parameter is annotated with, if any."""
    parameter = next(iter(parameters_of(service).values()), None)
    kinds = session_types(parameter.annotation) if parameter else []
    return kinds[0] if len(kinds) == 1 else None


def session_types(annotation: Any) -> list[type]:
    """Return the session classes that an annotation names, also inside a union."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    in_union = get_origin(annotation) in (Union, UnionType)
    candidates = get_args(annotation) if in_union else (annotation,)
    return [c for c in candidates if isinstance(c, type) and issubclass(c, SESSION_TYPES)]


def parameters_of(service: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return the parameters to call a service with; annotations that cannot be read are empty."""
    try:
        return dict(inspect.signature(service, eval_str=True).parameters)
    except NameError:  # a name imported only under TYPE_CHECKING: read what can be read
        return {n: _resolved(p, service) for n, p in _raw_parameters(service).items()}
    except (TypeError, ValueError):  # a builtin without a signature
        return {}


def _raw_parameters(service: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(service).parameters)


def _resolved(parameter: inspect.Parameter, service: Callable[..., Any]) -> inspect.Parameter:
    annotation = parameter.annotation
    if not isinstance(annotation, str):
        return parameter
    known = {"Session": Session, "AsyncSession": AsyncSession}
    module = sys.modules.get(service.__module__)
    found = getattr(module, annotation, known.get(annotation, parameter.empty))
    return parameter.replace(annotation=found)


def _explain_signature(service: Callable[[Any], Any], error: TypeError) -> None:
    """Raise ServiceBuildError when the TypeError came from the call and not from inside it."""
    try:
        signature = inspect.signature(service)
    except (TypeError, ValueError):  # a builtin that does not show its parameters
        return
    try:
        signature.bind(object())
    except TypeError:
        missing = _missing_parameters(signature)
        raise ServiceBuildError(
            service=service_name(service),
            problem=_needs(missing),
            instead=_how_to_give(service, missing),
        ) from error


def _missing_parameters(signature: inspect.Signature) -> list[inspect.Parameter]:
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    required = [
        p for p in signature.parameters.values() if p.default is p.empty and p.kind not in variadic
    ]
    takes_session = [p for p in signature.parameters.values() if p.kind in _POSITIONAL][:1]
    return [p for p in required if p not in takes_session]


_POSITIONAL = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.VAR_POSITIONAL,
)


def _needs(missing: list[inspect.Parameter]) -> str:
    if not missing:
        return "it takes no session"
    names = ", ".join(f"`{p.name}`" for p in missing)
    return f"besides the session it needs {names}"


def _how_to_give(service: object, missing: list[inspect.Parameter]) -> str:
    name = service_name(service)
    if not missing:
        return f"let {name} take the session as its first parameter"
    given = ", ".join(f"{p.name}=..." for p in missing)
    return f"inject({name}, {given}), inject({name}) to build it by type, or a lambda"
