"""`write_back`: store what was changed in a copy of a snapshot, if nobody else was quicker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from sqlalchemy import Column, update
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session
from sqlalchemy.orm import RelationshipDirection
from typing_extensions import TypeIs

from sqla_safe.errors import StaleSnapshotError, WriteBackError
from sqla_safe.snapshots._base import Snapshot, describe_key
from sqla_safe.snapshots._plan import fill
from sqla_safe.snapshots._values import melt, type_of

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from sqlalchemy.orm import RelationshipProperty, Session, scoped_session

    from sqla_safe.snapshots._plan import Plan

T = TypeVar("T")


@overload
def write_back(
    session: AsyncSession | async_scoped_session[Any], changed: T, *, base: T
) -> Awaitable[T]: ...
@overload
def write_back(session: Session | scoped_session[Any], changed: T, *, base: T) -> T: ...
def write_back(session: Any, changed: Any, *, base: Any) -> Any:
    """Store the columns in which two snapshots of one row differ, with a single UPDATE.

    There is no SELECT before it: the UPDATE itself asks for the primary key, and for the version
    that ``base`` holds when the class has a ``version_id_col``. Without one, the last writer wins,
    column by column.

    Args:
        session: the session to write with; its transaction is not committed here. With an
            `AsyncSession`, await the call.
        changed: what ``replace(base, ...)`` gave.
        base: the snapshot as it was made.

    Returns:
        ``changed`` with the version that the row has now. Where the database makes the version,
        that attribute is not captured any more.

    Raises:
        StaleSnapshotError: the row was changed or deleted since ``base`` was made; nothing was
            written. It holds both snapshots.
        WriteBackError: the two differ in something that is not a column of this row: a
            relationship, the key, the version, a computed column.

    Example:
        >>> renamed = replace(user, name="Mona")
        >>> with scoped_services(Session) as scope:
        ...     renamed = write_back(scope.session, renamed, base=user)
    """
    plan = _require_pair(changed, base)
    values = _changes(plan, changed, base)
    if _is_scoped(session):
        session = session()
    _require_session(session)
    if isinstance(session, AsyncSession):
        return session.run_sync(_write, plan, values, changed, base)
    return _write(session, plan, values, changed, base)


def _is_scoped(session: Any) -> TypeIs[async_scoped_session[Any]]:
    return isinstance(session, async_scoped_session)


def _require_session(session: Any) -> None:
    if not hasattr(session, "identity_map"):
        is_scope = hasattr(getattr(session, "session", None), "identity_map")
        raise WriteBackError(
            problem=f"an object of type {type(session).__name__} is no session",
            instead=f"write_back({'scope.session' if is_scope else 'session'}, changed, base=base)",
        )


def _require_pair(changed: Any, base: Any) -> Plan:
    for name, snap in (("changed", changed), ("base", base)):
        if not isinstance(snap, Snapshot):
            raise WriteBackError(
                problem=f"{name} is no snapshot but an object of type {type(snap).__name__}",
                instead="write_back(session, replace(base, ...), base=base)",
            )
    kind: type[Snapshot] = type_of(base)
    plan = kind._sqs_plan
    other: type[Snapshot] = type_of(changed)
    its_plan = other._sqs_plan
    if its_plan.entity is not plan.entity or its_plan.key_of(changed) != plan.key_of(base):
        raise WriteBackError(
            problem="changed and base are snapshots of different rows",
            instead="make the change with replace(base, ...), and leave the key as it is",
        )
    return plan


def _changes(plan: Plan, changed: Any, base: Any) -> dict[str, Any]:
    """Return the columns to write, by attribute."""
    other: type[Snapshot] = type_of(changed)
    before, after = plan.captured(base), other._sqs_plan.captured(changed)
    names = [name for name in after if name not in before or _differs(before, after, name)]
    for name in names:
        _require_writable(plan, name)
    return {name: melt(after[name]) for name in names}


def _differs(before: dict[str, Any], after: dict[str, Any], name: str) -> bool:
    old, new = before[name], after[name]
    return old is not new and (type_of(old) is not type_of(new) or bool(old != new))


def _relinked(relation: RelationshipProperty[Any]) -> str:
    """Return how what a relationship leads to is changed: by its foreign key, wherever that is."""
    if relation.secondary is not None:
        return "change the collection of the entity itself, in a session"
    is_here = relation.direction is RelationshipDirection.MANYTOONE
    owner, place = (relation.parent, 0) if is_here else (relation.mapper, 1)
    pairs = relation.local_remote_pairs or ()
    keys = [owner.get_property_by_column(pair[place]).key for pair in pairs]
    names = ", ".join(f"{owner.class_.__name__}.{key}" for key in sorted(keys))
    return f"change the foreign key {names}" + ("" if is_here else ", in snapshots of that class")


def _require_writable(plan: Plan, name: str) -> None:
    problem = f"{plan.entity.__name__}.{name} was changed, which is "
    relation = plan.mapper.relationships.get(name)
    if relation is not None:
        raise WriteBackError(problem=f"{problem}a relationship", instead=_relinked(relation))
    if _column_of(plan, name) is None:
        raise WriteBackError(
            problem=f"{problem}computed by the database", instead="change what it is computed from"
        )
    if name == _version_name(plan):
        raise WriteBackError(
            problem=f"{problem}the version of the row",
            instead="leave it out: write_back sets the version itself",
        )


def _column_of(plan: Plan, name: str) -> Column[Any] | None:
    """Return the column to update for an attribute; of several, the first one of a table."""
    for column in plan.mapper.column_attrs[name].columns:
        if isinstance(column, Column) and column.table in plan.mapper.tables:
            return None if column.computed is not None else column
    return None


def _version_name(plan: Plan) -> str | None:
    column = plan.mapper.version_id_col
    return None if column is None else plan.mapper.get_property_by_column(column).key


def _write(session: Session, plan: Plan, values: dict[str, Any], changed: Any, base: Any) -> Any:
    """Update each table of the class that is concerned; the one with the version goes first."""
    if not values:
        return changed
    version = _next_version(plan, base)
    by_table: dict[Any, dict[Any, Any]] = {}
    if plan.mapper.version_id_col is not None:
        by_table[plan.mapper.version_id_col.table] = {}
    for name, value in {**version, **values}.items():
        column: Any = _column_of(plan, name)
        by_table.setdefault(column.table, {})[column] = value
    for number, (table, assignments) in enumerate(by_table.items()):
        result: Any = session.execute(_statement(plan, table, assignments, base))
        if result.rowcount == 0:
            raise StaleSnapshotError(
                entity=plan.entity.__name__,
                key=describe_key(base),
                base=base,
                changed=changed,
                partly=number > 0,
            )
    unknown = _set_by_database(plan, set(by_table)) - values.keys() - version.keys()
    unknown |= _led_by(plan, values)
    _expire(session, plan, base, [*values, *version, *unknown])
    return _stored(plan, changed, version, unknown)


def _next_version(plan: Plan, base: Any) -> dict[str, Any]:
    """Return the version to write; nothing when there is none, or the database makes it."""
    name = _version_name(plan)
    if name is None:
        return {}
    if name not in plan.captured(base):
        raise WriteBackError(
            problem=f"base does not hold {plan.entity.__name__}.{name}, the version of the row",
            instead=f"snapshot(entity, {plan.entity.__name__}.{name})",
        )
    generate = plan.mapper.version_id_generator
    return {name: generate(plan.captured(base)[name])} if callable(generate) else {}


def _statement(plan: Plan, table: Any, assignments: dict[Any, Any], base: Any) -> Any:
    """Build the UPDATE of one table, with the criteria that the ORM's events may add to it."""
    held = plan.captured(base)
    mapper = next(m for m in plan.mapper.iterate_to_root() if table in m.tables)
    while mapper.inherits is not None and table in mapper.inherits.tables:
        mapper = mapper.inherits
    statement = update(mapper.class_).execution_options(synchronize_session=False)
    for column in table.primary_key:
        name = plan.mapper.get_property_by_column(column).key
        statement = statement.where(column == held[name])
        assignments = assignments or {column: held[name]}
    version = plan.mapper.version_id_col
    if version is not None and version.table is table:
        statement = statement.where(version == held[_version_name(plan) or ""])
    return statement.values(assignments)


def _set_by_database(plan: Plan, tables: set[Any]) -> set[str]:
    """Return the attributes that an UPDATE of these tables changes by itself."""
    names: set[str] = set()
    for name, attribute in plan.mapper.column_attrs.items():
        column: Any = attribute.columns[0]
        if getattr(column, "table", None) not in tables:
            names |= {name} if not isinstance(column, Column) else set()
        elif column.onupdate or column.server_onupdate or column.computed:
            names.add(name)
    version = _version_name(plan)
    return names | ({version} if version else set())


def _led_by(plan: Plan, values: dict[str, Any]) -> set[str]:
    """Return the relationships that lead elsewhere now, because their foreign key was written."""
    written = {_column_of(plan, name) for name in values}
    return {key for key, one in plan.mapper.relationships.items() if written & one.local_columns}


def _expire(session: Session, plan: Plan, base: Any, names: list[str]) -> None:
    """The entity that the session may hold reads the row again."""
    key = plan.mapper.identity_key_from_primary_key(plan.key_of(base))
    entity = session.identity_map.get(key)
    if entity is not None:
        session.expire(entity, names)


def _stored(plan: Plan, changed: Any, version: dict[str, Any], unknown: set[str]) -> Any:
    """Return the changed snapshot with its new version, without what only the database knows."""
    stored = plan.shell()
    other: type[Snapshot] = type_of(changed)
    state = other._sqs_plan.captured(changed) | plan.plain(changed) | version
    fill(stored, {name: state[name] for name in state.keys() - unknown})
    return stored
