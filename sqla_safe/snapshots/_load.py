"""Loading what a walk found missing: one statement per path, whatever the number of entities."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Load, joinedload, load_only
from sqlalchemy.orm.attributes import instance_state

from sqla_safe import _mapping
from sqla_safe.errors import DeletedEntityError, DetachedEntityError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Select
    from sqlalchemy.orm import Mapper, Session
    from sqlalchemy.orm.interfaces import LoaderOption

    from sqla_safe.snapshots._paths import Path
    from sqla_safe.snapshots._walk import Walk

_PARAMETERS = 30_000
"""SQLite takes 32,766 parameters in a statement, PostgreSQL's protocol 32,767 or more."""


def load_missing(session: Session, walk: Walk) -> None:
    """Load what the walk noted: expired columns, and the paths that wait for no other path."""
    for mapper, noted in walk.expired.items():
        entities = list({id(entity): entity for entity, _ in noted}.values())
        columns = [getattr(mapper.class_, key) for key in {key: None for _, key in noted}]
        _load(session, mapper, entities, [load_only(*columns)])
        _require_loaded(noted)
    for path in _ready(list({**walk.absent, **walk.absent_keys})):
        if path in walk.absent_keys:
            _load_targets(session, path, walk)
        if path in walk.absent:
            entities = walk.absent[path]
            _load(session, path.mapper, entities, _options(path))
            _require_loaded([(entity, path.key) for entity in entities])


def _load_targets(session: Session, path: Path, walk: Walk) -> None:
    """Load the targets of a many-to-one by the keys that the entities hold, flushed or not."""
    assert path.target is not None
    keys = list(walk.absent_keys[path])
    for statement in _by_keys(path.target, keys):
        walk.targets.kept_alive += session.scalars(statement).unique().all()
    walk.targets.asked[path].update(keys)


def load_options(session: Session, mapper: Mapper[Any], roots: list[Any], options: Any) -> None:
    """Run the user's own loader options on the roots."""
    _load(session, mapper, roots, [_only_key(mapper), *options])


def _options(path: Path) -> list[LoaderOption]:
    if path.target is None:
        return [load_only(path.attribute)]
    return [_only_key(path.mapper), joinedload(path.attribute, innerjoin=False)]


def _only_key(mapper: Mapper[Any]) -> LoaderOption:
    return load_only(*_key_attributes(mapper))


def _key_attributes(mapper: Mapper[Any]) -> list[Any]:
    return [getattr(mapper.class_, name) for name in _mapping.key_names(mapper)]


def _ready(paths: list[Path]) -> list[Path]:
    """Leave out the paths that another one may yet bring entities for."""
    return [
        path
        for path in paths
        if not any(
            other is not path and _feeds(other, path, paths) and not _feeds(path, other, paths)
            for other in paths
        )
    ]


def _feeds(source: Path, sink: Path, paths: Sequence[Path]) -> bool:
    """Say whether loading one path can bring entities that another one is wanted of."""
    todo, seen = [source], {source}
    while todo:
        target = todo.pop().target
        if target is None:
            continue
        for path in paths:
            if _same_family(target, path.mapper):
                if path is sink:
                    return True
                if path not in seen:
                    seen.add(path)
                    todo.append(path)
    return False


def _same_family(one: Mapper[Any], other: Mapper[Any]) -> bool:
    return one.isa(other) or other.isa(one)


def _load(
    session: Session, mapper: Mapper[Any], entities: list[Any], options: list[LoaderOption]
) -> None:
    """Run one SELECT over the keys of some entities; it fills what they have not loaded."""
    quiet = Load(mapper.class_).lazyload("*")
    for token, ones in _by_shard(entities).items():
        settings = {} if token is None else {"identity_token": token}
        for statement in _by_keys(mapper, _identities(ones)):
            chosen = statement.options(quiet, *options).execution_options(**settings)
            session.execute(chosen).unique().all()


def _by_shard(entities: list[Any]) -> dict[Any, list[Any]]:
    """Sort entities by the token that is part of their identity, which has none as a rule."""
    shards: defaultdict[Any, list[Any]] = defaultdict(list)
    for entity in entities:
        shards[instance_state(entity).identity_token].append(entity)
    return shards


def _by_keys(mapper: Mapper[Any], keys: list[Any]) -> Iterator[Select[Any]]:
    """Return a SELECT for some keys; several only where a statement cannot hold them all."""
    attributes = _key_attributes(mapper)
    column: Any = attributes[0] if len(attributes) == 1 else tuple_(*attributes)
    for chunk in _chunks(keys, _PARAMETERS // len(attributes)):
        yield select(mapper.class_).where(column.in_(chunk))


def _identities(entities: list[Any]) -> list[Any]:
    idents = [instance_state(entity).identity for entity in entities]
    return [ident[0] if len(ident) == 1 else ident for ident in idents if ident is not None]


def _chunks(keys: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]


def _require_loaded(noted: list[tuple[Any, str]]) -> None:
    """Make sure of what was loaded.

    A collection that was changed before it was loaded is one that a SELECT leaves alone; the
    entity's own loading knows how to put the two together.
    """
    for entity, key in noted:
        state = instance_state(entity)
        if key in state.dict:
            continue
        name = type(entity).__name__
        if state.session is None:
            raise DetachedEntityError(entity=name, missing=(f"{name}.{key}",), expired=False)
        if key in state.unloaded:
            what = f"has no row that this session can see, so {key} cannot be loaded"
            raise DeletedEntityError(entity=name, what=what)
        getattr(entity, key)
