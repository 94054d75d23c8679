"""`snapshot` and `asnapshot`: load what is missing, then freeze."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, TypeVar, overload

import greenlet
from sqlalchemy import Executable, Row
from sqlalchemy.ext.asyncio import async_object_session
from sqlalchemy.inspection import inspect
from sqlalchemy.orm import InstanceState, object_session
from sqlalchemy.orm.attributes import instance_state

from sqla_safe import _mapping
from sqla_safe.errors import (
    AsyncLoadError,
    DetachedEntityError,
    SnapshotPathError,
    SnapshotSourceError,
)
from sqla_safe.snapshots._base import Snapshot
from sqla_safe.snapshots._load import load_missing, load_options
from sqla_safe.snapshots._paths import Path, read_paths, require_reachable
from sqla_safe.snapshots._values import is_iterable
from sqla_safe.snapshots._walk import MAX_DEPTH, MAX_OBJECTS, Limits, Targets, Walk, checked_limit

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from sqlalchemy.orm import Mapper, QueryableAttribute, Session
    from sqlalchemy.orm.interfaces import LoaderOption

T = TypeVar("T")


@overload
def snapshot(
    entities: Iterable[T],
    /,
    *paths: QueryableAttribute[Any] | LoaderOption,
    max_objects: int = ...,
    max_depth: int = ...,
) -> tuple[T, ...]: ...
@overload
def snapshot(
    entity: T,
    /,
    *paths: QueryableAttribute[Any] | LoaderOption,
    max_objects: int = ...,
    max_depth: int = ...,
) -> T: ...
def snapshot(
    entity: Any,
    /,
    *paths: QueryableAttribute[Any] | LoaderOption,
    max_objects: int = MAX_OBJECTS,
    max_depth: int = MAX_DEPTH,
) -> Any:
    """Take entities out of their session: load what the paths name, then freeze everything loaded.

    The snapshot reads like the entity, with its methods, properties and related objects, and needs
    no session: nothing it does is I/O. It holds every column and relationship that is loaded, and
    those that the paths name; any other one raises `NotLoadedError` when it is read.

    Args:
        entity: an entity of an ordinary `Session`, or an iterable of them. (With an `AsyncSession`,
            `asnapshot` can load, and this function freezes what is loaded.)
        paths: what the snapshot must hold: attributes of the entity or of any entity in its graph
            (``User.avatars, Avatar.photos``), each loaded with one statement for all entities
            together; or loader options such as ``selectinload(...)``, run as they are.
        max_objects: how many objects a snapshot may have, 100,000 unless told.
        max_depth: how many relationships deep it may go, 100 unless told.

    Returns:
        A frozen object of the same type; for an iterable, a tuple in its order.

    Raises:
        SnapshotSourceError: what was given is no entity, or a limit is no whole number.
        SnapshotPathError: a path that cannot be loaded from this entity.
        PendingEntityError: an entity without a row: flush first.
        DeletedEntityError: an entity that has been deleted.
        DetachedEntityError: something is missing, and there is no session to load it.
        AsyncLoadError: something is missing, and the session is an `AsyncSession`.
        SnapshotLimitError: the graph is larger than allowed.

    Example:
        >>> with scoped_services(Session) as scope:
        ...     user = scope.session.scalars(select(User)).first()
        ...     shown = snapshot(user, User.avatars)
        >>> [avatar.name for avatar in shown.avatars]
        ['Mona']
    """
    steps = _steps(entity, paths, _limits(max_objects, max_depth))
    try:
        while True:
            step = next(steps)
            _require_sync(step)
            step.load()
    except StopIteration as done:
        return done.value


@overload
async def asnapshot(
    entities: Iterable[T],
    /,
    *paths: QueryableAttribute[Any] | LoaderOption,
    max_objects: int = ...,
    max_depth: int = ...,
) -> tuple[T, ...]: ...
@overload
async def asnapshot(
    entity: T,
    /,
    *paths: QueryableAttribute[Any] | LoaderOption,
    max_objects: int = ...,
    max_depth: int = ...,
) -> T: ...
async def asnapshot(
    entity: Any,
    /,
    *paths: QueryableAttribute[Any] | LoaderOption,
    max_objects: int = MAX_OBJECTS,
    max_depth: int = MAX_DEPTH,
) -> Any:
    """Take entities of an `AsyncSession` out of it; see `snapshot`, which it is in all else.

    Args:
        entity: an entity, or an iterable of them.
        paths: what the snapshot must hold.
        max_objects: how many objects a snapshot may have, 100,000 unless told.
        max_depth: how many relationships deep it may go, 100 unless told.

    Returns:
        A frozen object of the same type; for an iterable, a tuple in its order.

    Raises:
        SqlaSafeError: as `snapshot` does.

    Example:
        >>> async with scoped_services(Session, UserService) as users:
        ...     user = await users.by_telegram_id(42)
        ...     shown = await asnapshot(user, User.avatars)
        >>> shown.balance  # after the block
        Decimal('10.00')
    """
    steps = _steps(entity, paths, _limits(max_objects, max_depth))
    try:
        while True:
            await _load_async(next(steps))
    except StopIteration as done:
        return done.value


def is_snapshot(value: object) -> bool:
    """Say whether a value is a snapshot.

    Example:
        >>> is_snapshot(snapshot(user)), is_snapshot(user)
        (True, False)
    """
    return isinstance(value, Snapshot)


class _Step:
    """Something to load before the next walk."""

    def __init__(
        self, root: Any, session: Session, missing: tuple[str, ...], load: Callable[[], None]
    ) -> None:
        self.root = root
        self.session = session
        self.missing = missing
        self.load = load


def _steps(given: Any, paths: Any, limits: Limits) -> Generator[_Step, None, Any]:
    """Walk until nothing is missing; each step is left to the caller, who may await it."""
    many, roots = _roots(given)
    wanted, options = read_paths(paths)
    if not roots:
        return ()
    entities = [root for root in roots if not isinstance(root, Snapshot)]
    if len(entities) < len(roots):
        if wanted or options:
            _require_captured(roots, wanted)
        if not entities:
            return tuple(roots) if many else roots[0]
    session = _session_of(entities)
    if options:
        yield _option_step(session, entities, options)
    targets = Targets()
    while True:
        walk = Walk(session, wanted, limits, targets)
        snaps = walk.run(entities)
        missing = _missing(walk)
        if not missing:
            break
        if session is None:
            raise _detached(walk)
        yield _Step(entities[0], session, missing, partial(load_missing, session, walk))
    _require_met(walk, wanted, entities)
    made = iter(snaps)
    result = [root if isinstance(root, Snapshot) else next(made) for root in roots]
    return tuple(result) if many else result[0]


def _option_step(session: Session | None, entities: list[Any], options: list[Any]) -> _Step:
    if session is None:
        raise DetachedEntityError(
            entity=type(entities[0]).__name__,
            missing=("what the loader option names",),
            expired=False,
        )
    load = partial(load_options, session, _common_mapper(entities), entities, options)
    return _Step(entities[0], session, ("what the loader options name",), load)


def _common_mapper(entities: list[Any]) -> Mapper[Any]:
    """Return the mapper of the nearest class that all entities are of.

    Raises:
        SnapshotPathError: there is none, so that no loader option fits them all.
    """
    mappers = {_mapping.mapper_of(kind) for kind in set(map(type, entities))}
    mapper: Any = next(iter(mappers))
    while mapper is not None and not all(one.isa(mapper) for one in mappers):
        mapper = mapper.inherits
    if mapper is None:
        raise SnapshotPathError(
            problem="a loader option was given for entities of classes that are not related",
            instead="snapshot(...) once for the entities of each class, or paths",
        )
    found: Mapper[Any] = mapper
    return found


def _missing(walk: Walk) -> tuple[str, ...]:
    """Name what must be loaded; without a session an expired column is only left out."""
    names = {str(path): None for path in (*walk.absent, *walk.absent_keys)}
    for mapper, noted in walk.expired.items():
        keyless = [key for entity, key in noted if walk.session is not None or _is_keyless(entity)]
        names |= {f"{mapper.class_.__name__}.{key}": None for key in keyless}
    return tuple(names)


def _is_keyless(entity: Any) -> bool:
    state: InstanceState[Any] = inspect(entity)
    return any(
        state.mapper.get_property_by_column(c).key not in state.dict
        for c in state.mapper.primary_key
    )


def _detached(walk: Walk) -> DetachedEntityError:
    paths = [*walk.absent, *walk.absent_keys]
    mapper = paths[0].mapper if paths else next(iter(walk.expired))
    return DetachedEntityError(
        entity=mapper.class_.__name__, missing=_missing(walk), expired=not paths
    )


def _require_met(walk: Walk, wanted: list[Path], entities: list[Any]) -> None:
    """A path that no entity met is right when its class can be reached, and wrong otherwise."""
    unmet = [path for path in wanted if not any(map(path.covers, walk.visited))]
    if unmet:
        require_reachable(unmet, set(map(_mapping.mapper_of, set(map(type, entities)))))


def _require_captured(roots: list[Any], wanted: list[Path]) -> None:
    for root in roots:
        if isinstance(root, Snapshot):
            for path in wanted:
                if path.covers(type(root)._sqs_plan.mapper):
                    getattr(root, path.key)


# --- what was given ----------------------------------------------------------


def _limits(max_objects: int, max_depth: int) -> Limits:
    return Limits(checked_limit("max_objects", max_objects), checked_limit("max_depth", max_depth))


def _roots(given: Any) -> tuple[bool, list[Any]]:
    """Tell one entity from an iterable of them.

    Raises:
        SnapshotSourceError: for anything else.
    """
    if _is_one(given):
        return False, [given]
    if not is_iterable(given) or isinstance(given, (str, bytes, Mapping, Row)):
        raise _no_entity(given)
    roots = list(given)
    for kind in set(map(type, roots)):
        if not issubclass(kind, Snapshot) and _mapping.mapper_or_none(kind) is None:
            position = next(place for place, root in enumerate(roots) if type(root) is kind)
            raise _no_entity(roots[position], f"item {position} of the iterable is ")
    return True, roots


def _is_one(given: Any) -> bool:
    if isinstance(given, Snapshot):
        return True
    return isinstance(inspect(given, raiseerr=False), InstanceState)


def _no_entity(given: Any, where: str = "") -> SnapshotSourceError:
    if given is None:
        what, instead = "None", "make sure that the query found a row before taking a snapshot"
    elif isinstance(given, Row):
        what = "a Row"
        instead = "session.scalars(select(Entity)) gives entities; rows need no snapshot"
    elif isawaitable(given):
        what = f"a {type(given).__name__}"
        instead = "await asnapshot(await what_gives_the_entity(...), ...)"
    elif isinstance(given, Executable):
        what, instead = "a statement", "snapshot(session.scalars(statement), ...)"
    elif _mapping.mapper_or_none(given) is not None:
        what, instead = f"the class {given.__name__}", "an instance of it"
    else:
        what = f"an object of type {type(given).__name__}"
        instead = "snapshot(entity, ...) with a mapped instance, or an iterable of them"
    problem = f"{where or 'no snapshot can be made of '}{what}"
    return SnapshotSourceError(problem=problem, instead=instead)


def _session_of(entities: list[Any]) -> Session | None:
    """Return the session of the entities.

    Raises:
        SnapshotSourceError: for entities of several sessions.
    """
    ids = {state.session_id for state in map(instance_state, entities)}
    if len(ids) > 1:
        raise SnapshotSourceError(
            problem="the entities belong to several sessions, or some of them to none",
            instead="one snapshot for the entities of each session",
        )
    return object_session(entities[0]) if entities else None


def _require_sync(step: _Step) -> None:
    if async_object_session(step.root) is not None and greenlet.getcurrent().parent is None:
        raise AsyncLoadError(missing=step.missing)


async def _load_async(step: _Step) -> None:
    session = async_object_session(step.root)
    if session is None:
        raise SnapshotSourceError(
            problem="the entity belongs to an ordinary Session, which has something to load",
            instead="snapshot(...), without await",
        )
    await session.run_sync(lambda _: step.load())
