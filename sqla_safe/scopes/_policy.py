"""`configure`: how the scopes of one sessionmaker behave."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from math import inf
from typing import TYPE_CHECKING, Any, Literal, TypedDict
from weakref import ref

from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker
from typing_extensions import Unpack

from sqla_safe.errors import ScopeOptionError
from sqla_safe.guard._errors import guard as guard_maker
from sqla_safe.guard._records import Mode, check_mode
from sqla_safe.scopes._source import check_maker

if TYPE_CHECKING:
    from sqlalchemy.orm import sessionmaker


@dataclass(frozen=True, slots=True)
class Policy:
    """What `configure` can set; all times in seconds."""

    service_commit: Literal["raise", "flush"] = "raise"
    expire_on_commit: bool | None = None
    guard_owner: bool = False
    read_only_bind: Engine | None = None
    drain_timeout: float = 5.0
    cleanup_timeout: float = 2.0
    resolve_commit: bool = True
    idle_in_transaction_warning: float | None = None
    guard: Mode = "off"


class PolicyOptions(TypedDict, total=False):
    """The keyword arguments of `configure`."""

    service_commit: Literal["raise", "flush"]
    expire_on_commit: bool
    guard_owner: bool
    read_only_bind: Engine | AsyncEngine
    drain_timeout: float
    cleanup_timeout: float
    resolve_commit: bool
    idle_in_transaction_warning: float | None
    guard: Mode


DEFAULT_POLICY = Policy()
policies: dict[int, tuple[ref[Any], Policy]] = {}
"""By the ``id()`` of the sessionmaker, because every scope looks its policy up."""


def policy_of(source: Any) -> Policy:
    """Return the policy of a sessionmaker; the defaults where none was configured."""
    found = policies.get(id(source))
    return DEFAULT_POLICY if found is None else found[1]


def _remember(source: Any, policy: Policy) -> None:
    key = id(source)
    policies[key] = ref(source, lambda _: policies.pop(key, None)), policy


def configure(
    source: async_sessionmaker[Any] | sessionmaker[Any], /, **policy: Unpack[PolicyOptions]
) -> None:
    """Set how the scopes of one sessionmaker behave; call it once, next to where it is made.

    A second call changes only what it names.

    Args:
        source: the ``sessionmaker`` or ``async_sessionmaker``.
        service_commit: ``"raise"`` (default) lets a service's own ``commit()`` and ``rollback()``
            fail at the call; ``"flush"``, for migrating old code, makes ``commit()`` a flush and
            lets ``rollback()`` mark the scope rollback-only.
        expire_on_commit: overrides the sessionmaker's own setting inside scopes.
        guard_owner: when true, only the task that opened a scope may use its session.
        read_only_bind: the engine that read-only scopes use, such as a replica.
        drain_timeout: seconds that the end of a scope waits for another task's statement.
        cleanup_timeout: seconds that ROLLBACK, or the answer to COMMIT, may take.
        resolve_commit: whether PostgreSQL is asked what became of a COMMIT whose answer was lost;
            costs one small query in each transaction that writes.
        idle_in_transaction_warning: warn when a scope holds an open transaction without using it
            for this many seconds; with a guard also sessions outside of scopes.
        guard: what happens when an entity or a session is misused, for every session that this
            sessionmaker makes from now on, inside a scope or not: ``"off"`` (default),
            ``"report"`` logs each site once, ``"raise"`` explains exceptions and raises early,
            ``"strict"``, for tests, lets every read of an entity after its session fail.

    Raises:
        ScopeSourceError: ``source`` is not a sessionmaker.
        ScopeOptionError: an unknown name, or a value that cannot be.

    Example:
        >>> from sqlalchemy import create_engine
        >>> from sqlalchemy.orm import sessionmaker
        >>> Session = sessionmaker(create_engine("sqlite://"))
        >>> configure(Session, service_commit="flush", cleanup_timeout=1.0)
    """
    check_maker(source, "configure(Session, ...)")
    values: dict[str, Any] = dict(policy)
    _check_names(values)
    _check_values(values)
    replica = values.get("read_only_bind")
    _check_replica(source, replica)
    if isinstance(replica, AsyncEngine):
        values["read_only_bind"] = replica.sync_engine
    policy_now = replace(policy_of(source), **values)
    _remember(source, policy_now)
    is_about_guard = not {"guard", "idle_in_transaction_warning"}.isdisjoint(values)
    if "guard" in values or (is_about_guard and policy_now.guard != "off"):
        guard_maker(source, policy_now.guard, policy_now.idle_in_transaction_warning)


def _check_names(values: dict[str, Any]) -> None:
    known = sorted(f.name for f in fields(Policy))
    for name in values:
        if name not in known:
            raise ScopeOptionError(
                problem=f"configure() has no option {name!r}", instead=f"one of {', '.join(known)}"
            )


def _check_values(values: dict[str, Any]) -> None:
    if values.get("service_commit", "raise") not in ("raise", "flush"):
        raise ScopeOptionError(
            problem="service_commit is neither 'raise' nor 'flush'",
            instead='service_commit="flush"',
        )
    check_mode(values.get("guard", "off"), "guard")
    for name in ("guard_owner", "resolve_commit"):
        check_flag(name, values.get(name, False))
    if values.get("expire_on_commit") is not None:
        check_flag("expire_on_commit", values["expire_on_commit"])
    for name in ("drain_timeout", "cleanup_timeout", "idle_in_transaction_warning"):
        check_seconds(name, values.get(name))
    for name in ("drain_timeout", "cleanup_timeout"):
        if values.get(name, 1) is None:
            raise ScopeOptionError(
                problem=f"{name}=None would let the end of a scope wait for ever",
                instead=f"{name}=5.0",
            )


def _check_replica(source: Any, replica: Any) -> None:
    if replica is None:
        return
    maker = "create_async_engine" if isinstance(source, async_sessionmaker) else "create_engine"
    instead = f"read_only_bind={maker}(...)"
    if not isinstance(replica, Engine | AsyncEngine):
        raise ScopeOptionError(problem="read_only_bind is not an engine", instead=instead)
    if replica.dialect.is_async != isinstance(source, async_sessionmaker):
        problem = f"read_only_bind has the driver {replica.driver}, which is of the other kind"
        raise ScopeOptionError(problem=f"{problem} than the sessionmaker", instead=instead)


def check_flag(name: str, value: Any) -> None:
    """Refuse anything but True and False: a text such as "no" would count as true."""
    if not isinstance(value, bool):
        raise ScopeOptionError(problem=f"{name} is neither True nor False", instead=f"{name}=True")


def check_seconds(name: str, value: Any, *, may_be_none: bool = True) -> None:
    """Refuse anything that is not a positive number of seconds (None is no limit)."""
    if value is None and may_be_none:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < inf:
        raise ScopeOptionError(
            problem=f"{name} is not a positive number of seconds", instead=f"{name}=5.0"
        )
