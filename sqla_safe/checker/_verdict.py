"""The decision about one read: will the attribute be there, and what to say if not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqla_safe.checker import _ir as ir
from sqla_safe.checker import _swallowed
from sqla_safe.checker._index import Class
from sqla_safe.checker._names import last
from sqla_safe.checker._run import Report, Trouble
from sqla_safe.checker._values import WHOLE, Entity, Scope, State
from sqla_safe.checker.findings import Fix

if TYPE_CHECKING:
    from sqla_safe.checker._ir import Expr
    from sqla_safe.checker._models import Attribute
    from sqla_safe.checker._run import Frame, Run
    from sqla_safe.checker._values import Expiry, Ref, Value
    from sqla_safe.checker.findings import Severity

Span = tuple[int, int]
Answer = tuple[str, "Severity", str, str]
_AFTER = {
    "commit": "the commit in line {line}",
    "rollback": "the rollback in line {line}",
    "flush": "the flush in line {line}",
    "delete": "the deletion in line {line}",
    "hand": "`expire` in line {line}",
    "call": "the call in line {line}, which goes on after a rollback,",
}


class Read:
    """One read of one attribute of one entity."""

    __slots__ = ("entity", "frame", "how", "is_another", "mapped", "name", "run", "scope", "state")

    def __init__(
        self,
        run: Run,
        frame: Frame,
        state: State,
        entity: Entity,
        name: str,
        mapped: Attribute | None,
    ) -> None:
        """Take what is read."""
        self.run = run
        self.frame = frame
        self.state = state
        self.entity = entity
        self.name = name
        self.mapped = mapped
        self.how = "read"
        self.is_another = False
        scope = state.heap.get(entity.scope) if entity.scope is not None else None
        self.scope = scope if isinstance(scope, Scope) else None

    @property
    def label(self) -> str:
        """How the attribute is called in messages: `User.balance`."""
        cls = self.entity.cls
        if cls is None:
            return f"`.{self.name}`"
        return f"`{cls.name if isinstance(cls, Class) else last(cls)}.{self.name}`"

    @property
    def is_async(self) -> bool:
        """Whether a read cannot send SQL, because there is nobody to await it."""
        if self.scope is not None and self.scope.is_async is not None:
            return self.scope.is_async
        if self.run.linked.makers.kind() is False:
            return False
        if self.frame.function is not None and self.frame.function.is_async:
            return True
        return self.frame.is_async or self.run.linked.relevance.is_called_by_async(
            self.frame.function
        )

    @property
    def is_arranged(self) -> bool:
        """Whether a test reads it, which knows on which of its ways a call has returned."""
        return self.frame.function is not None and self.frame.function.is_test

    @property
    def is_relation(self) -> bool:
        """Whether the attribute is a relationship that does not come with the entity."""
        return self.mapped is not None and self.mapped.kind == "relation"

    @property
    def is_column(self) -> bool:
        """Whether the attribute is a column, which may be deferred."""
        return self.mapped is not None and self.mapped.kind == "column"

    def is_loaded(self) -> bool:
        """Whether the attribute has been loaded, or need not be."""
        entity, mapped = self.entity, self.mapped
        if mapped is None or self.name in entity.loads or entity.source == "new":
            return True
        names = [key for key, _ in entity.related]
        if self.name in names:
            return True
        if entity.is_made and mapped.points_up and f"{self.name}_id" not in names:
            return True
        if f"!{self.name}" in entity.loads:
            return False
        if mapped.kind == "relation":
            is_known = mapped.points_up and not entity.is_detached and self._has_target()
            return self._comes_along() or is_known
        return not mapped.is_deferred and ("!" not in entity.loads or mapped.is_key)

    def _comes_along(self) -> bool:
        """Whether the relationship was loaded with its entity, by a query or `refresh`.

        What was made here and flushed has its columns, and the collections that were filled.
        """
        assert self.mapped is not None
        is_loaded = not self.entity.is_made or WHOLE in self.entity.loads
        return self.mapped.is_eager and is_loaded

    def _has_target(self) -> bool:
        """Whether the session knows an entity of the class that a many-to-one leads to."""
        assert self.mapped is not None
        target = self.run.models.target(self.entity.cls, self.mapped)
        for path in self.entity.loads:
            other = self.run.models.attribute(self.entity.cls, path.partition(".")[0])
            if other is not None and other.target == self.mapped.target:
                return True
        return knows(self.state, self.entity, target)

    def may_have_target(self) -> bool:
        """Whether whoever has opened the session may have loaded what a many-to-one leads to."""
        is_top = self.frame.is_top and self.mapped is not None and self.mapped.points_up
        return is_top and (self.scope is None or self.scope.owner in ("param", "ambient"))

    def may_be_known(self) -> bool:
        """Whether the session holds one of the same class that has it: maybe the same entity.

        `user = await get(session, user.id)` gives back what was loaded with it before.
        """
        entity = self.entity
        return entity.source == "load" and any(
            isinstance(other, Entity)
            and other is not entity
            and (other.cls, other.scope, other.source) == (entity.cls, entity.scope, "load")
            and self.name in other.loads
            and (other.expired is None or not other.expired.is_sure)
            for other in self.state.heap.values()
        )

    def is_stale(self) -> bool:
        """Whether the database has filled the column in a flush, and nobody has fetched it."""
        is_known = self.entity.stale is None or self.name in self.entity.back
        return not is_known and self.mapped is not None and self.mapped.on_update

    def is_certain(self) -> bool:
        """Whether it is known how the entity was loaded."""
        if self.entity.is_made and self.mapped is not None and self.mapped.points_up:
            return False
        return self.entity.source in ("load", "child") and not self.entity.is_open

    def is_loaded_somewhere(self) -> bool:
        """Whether any statement of the project loads this relationship."""
        group = self.mapped.group if self.mapped is not None else ""
        linked = self.run.linked
        return linked.loads_anywhere(self.entity.cls, self.name) or linked.loads_group(group)

    def where(self) -> str:
        """Return what has expired the entity, or may have when the settings are not known."""
        expired = self.entity.expired
        assert expired is not None
        has = "has" if expired.is_sure else "may have"
        return f"{_AFTER[expired.by].format(line=ir.line_of(expired.at))} {has} expired it"


def knows(state: State, entity: Entity, target: Class | str | None) -> bool:
    """Return whether the session of an entity holds another one of some class."""
    return any(
        isinstance(thing, Entity)
        and _may_be_one(state, thing.scope, entity.scope)
        and (thing.cls == target or _bare(thing.cls) == _bare(target))
        for thing in state.heap.values()
        if thing is not entity
    )


def _may_be_one(state: State, one: int | None, other: int | None) -> bool:
    """Return whether two sessions may be the same: somebody hands in both."""
    return one == other or (_is_lent(state, one) and _is_lent(state, other))


def _is_lent(state: State, oid: int | None) -> bool:
    scope = state.heap.get(oid) if oid is not None else None
    return isinstance(scope, Scope) and scope.owner in ("param", "ambient", "dependency")


def suspected(state: State, entity: object, trouble: Trouble) -> Severity:
    """Return how bad it is what a called function has done to an entity of its caller."""
    if trouble.target is None or not isinstance(entity, Entity) or entity.is_detached:
        return trouble.severity
    scope = state.heap.get(entity.scope) if entity.scope is not None else None
    is_lent = not isinstance(scope, Scope) or scope.owner in ("param", "ambient")
    return "warning" if is_lent and trouble.severity == "error" else trouble.severity


def _bare(cls: Class | str | None) -> str:
    return cls.name if isinstance(cls, Class) else last(cls or "")


def judge(
    run: Run,
    frame: Frame,
    state: State,
    owner: Ref,
    entity: Entity,
    name: str,
    mapped: Attribute | None,
    span: Span,
    how: str,
    written: Expr,
) -> bool:
    """Report a read that will fail, or may; return whether there is a value to go on with."""
    read = Read(run, frame, state, entity, name, mapped)
    read.how = how
    read.is_another = bool(frame.loops) and run.is_another(frame, owner.oid)
    if entity.is_weak and not (name == "id" or name.endswith("_id")):
        return True
    if entity.is_captured and frame.is_top and not read.is_relation:
        message = f"{read.label} is read in a task that may outlive the session it belongs to"
        hint = "pass the value when the task is started, or load the entity again"
        run.report(frame, Report(*span, "SQS031", "warning", message, hint))
        return True
    if frame.forgiven or (entity.is_free and not read.is_relation):
        return True
    answer = _detached(read) if entity.is_detached or entity.is_free else _attached(read)
    if answer is None:
        return True
    code, severity, message, hint = answer
    if severity == "error" and frame.unsure:
        severity = "warning"
    if frame.is_top:
        fix = _fix(read, code, written, span[0])
        run.report(frame, Report(*span, code, severity, message, hint, fix))
        _swallowed.told(state, entity.expired)
    elif severity != "info":
        severity = "warning" if frame.doubts else severity
        target = run.models.target(entity.cls, mapped) if mapped and mapped.points_up else None
        oid = run.root(owner.oid) if read.is_relation and entity.expired is None else owner.oid
        trouble = Trouble(oid, code, severity, message, hint, entity.expired, target)
        run.troubles.append(trouble)
    return not (severity == "error" and entity.is_detached)


def is_there(run: Run, frame: Frame, state: State, value: Value, name: str) -> bool:
    """Return whether a value is an entity that certainly has an attribute."""
    entity = state.entity(value)
    if entity is None or (entity.expired is not None and name not in entity.back):
        return False
    mapped = run.models.attribute(entity.cls, name)
    return Read(run, frame, state, entity, name, mapped).is_loaded()


def loads_itself(run: Run, frame: Frame, state: State, entity: Entity, mapped: Attribute) -> bool:
    """Return whether a read loads what is missing: in sync code, with the session open."""
    is_there = entity.is_detached or entity.is_free or mapped.name in entity.loads
    return not is_there and not Read(run, frame, state, entity, mapped.name, mapped).is_async


def _detached(read: Read) -> Answer | None:
    code = _code_after_end(read)
    entity = read.entity
    ended = f"after its session was closed in line {ir.line_of(entity.detached_at)}"
    if not entity.is_detached:
        ended = "after it has left its session"
    expired = entity.expired
    if expired is not None and read.name not in entity.back:
        severity: Severity = "error" if expired.is_sure else "warning"
        message = f"{read.label} is read {ended}; {read.where()}"
        return code, severity, message, _keep_hint(read)
    if not read.is_loaded():
        return _unloaded_detached(read, code, ended)
    if read.is_stale():
        message = f"{read.label} is filled by the database and is read {ended}"
        return code, "error", message, _keep_hint(read)
    if entity.is_free or entity.source == "new":
        return None
    if entity.source == "guess" and read.scope is not None and read.scope.expires is not False:
        return code, "warning", f"{read.label} is read {ended}", _keep_hint(read)
    message = f"{read.label} is read {ended}; it works only because nothing has expired it"
    return code, "info", message, _keep_hint(read)


def _unloaded_detached(read: Read, code: str, ended: str) -> Answer | None:
    if read.is_certain():
        return code, "error", f"{read.label} was not loaded and is read {ended}", _load_hint(read)
    if read.entity.is_free:
        return None
    if read.is_loaded_somewhere():
        return code, "info", f"{read.label} is read {ended}", _load_hint(read)
    return code, "warning", f"{read.label} is never loaded and is read {ended}", _load_hint(read)


def _code_after_end(read: Read) -> str:
    if read.how == "getattr" and read.is_relation:
        return "SQS011"
    others = [oid for oid, _ in read.frame.blocks if oid != read.entity.scope]
    opened = [oid for oid in others if not _is_closed(read.state, oid)]
    return "SQS002" if opened and read.frame.is_top else "SQS001"


def _is_closed(state: State, oid: int) -> bool:
    thing = state.heap.get(oid)
    return isinstance(thing, Scope) and thing.is_closed


def _attached(read: Read) -> Answer | None:
    entity = read.entity
    if entity.source == "new" and entity.scope is None:
        return None
    if not read.is_async:
        return _sync(read)
    expired = entity.expired
    if expired is not None and read.name not in entity.back:
        return _expired(read)
    if not read.is_loaded():
        return _unloaded(read)
    if read.is_stale():
        message = f"{read.label} is filled by the database, and gone after the flush"
        return "SQS022", "error", message, _refresh_hint(read)
    return None


def _expired(read: Read) -> Answer | None:
    expired = read.entity.expired
    assert expired is not None
    is_sure = expired.is_sure and (expired.is_certain or expired.by != "hand")
    severity: Severity = "error" if is_sure else "warning"
    message = f"{read.label} is read after {read.where()}"
    if expired.by == "call" and read.is_arranged:
        return None
    if expired.by in ("rollback", "call"):
        return "SQS021", severity, message, _refresh_hint(read)
    if expired.by == "commit" and not expired.is_sure and not read.run.linked.makers.are_odd:
        return None
    return "SQS020", severity, message, _refresh_hint(read)


def _unloaded(read: Read) -> Answer | None:
    code = {"getattr": "SQS011", "set": "SQS012"}.get(read.how, "SQS010")
    severity: Severity
    if read.is_certain():
        message = f"{read.label} was not loaded: reading it is implicit I/O"
        is_doubtful = read.may_have_target() or read.may_be_known()
        return code, "warning" if is_doubtful else "error", message, _load_hint(read)
    if code == "SQS011":
        severity = "info" if read.is_loaded_somewhere() else "warning"
        message = (
            f"{read.label} is a relationship: the default does not stand in when it is not loaded"
        )
        return code, severity, message, _load_hint(read)
    if code == "SQS012" or read.is_loaded_somewhere():
        return None
    message = f"{read.label} is loaded nowhere: reading it is implicit I/O"
    return code, "warning", message, _load_hint(read)


def _sync(read: Read) -> Answer | None:
    if not read.is_another or read.is_loaded() or not read.is_certain() or not read.is_relation:
        return None
    if read.how == "set":
        return None
    return "SQS060", "info", f"{read.label} is loaded again in each round", _load_hint(read)


def _keep_hint(read: Read) -> str:
    taken = "await asnapshot" if read.is_async else "snapshot"
    return f"read it inside the block, or take the entity out with `{taken}(entity, {_path(read)})`"


def _load_hint(read: Read) -> str:
    if read.is_column and f"!{read.name}" not in read.entity.loads and "!" in read.entity.loads:
        return f"name it as well: `load_only(..., {_path(read)})`"
    return f"load it with the entity: `.options({_loader(read)})`"


def _loader(read: Read) -> str:
    """Return the option that loads what is read with its entity."""
    return f"{'undefer' if read.is_column else 'selectinload'}({_path(read)})"


def _refresh_hint(read: Read) -> str:
    awaited = "await " if read.is_async else ""
    return f"read it before, or `{awaited}session.refresh(entity)` after it"


def _path(read: Read) -> str:
    return read.label.strip("`").lstrip(".")


def _refresh_fix(read: Read, expired: Expiry, name: str, at: int) -> Fix | None:
    """Return what loads an entity again where it has expired; what was new has no row there.

    The session must have done it by name, and not in the round of the loop before.
    """
    if read.entity.source != "load" or expired.by not in ("commit", "rollback"):
        return None
    if expired.at not in read.run.own_expiries or at < expired.at:
        return None
    return Fix("refresh", (("name", name), ("after_line", ir.line_of(expired.at))))


def _may_undefer(read: Read) -> bool:
    """Return whether a column is deferred by its model, and by no option of the statement."""
    is_put_off = f"!{read.name}" in read.entity.loads or "!" in read.entity.loads
    return read.mapped is not None and read.mapped.is_deferred and not is_put_off


def _fix(read: Read, code: str, written: Expr, at: int) -> Fix | None:
    entity = read.entity
    if read.is_column and not read.is_loaded() and not _may_undefer(read):
        return None
    if code in ("SQS010", "SQS011", "SQS060") and read.is_certain() and entity.is_here:
        option = _loader(read)
        place = (("line", ir.line_of(entity.at)), ("column", ir.column_of(entity.at)))
        return Fix("add-loader", (*place, ("option", option)))
    if written is None or written[0] != ir.NAME or read.is_relation:
        return None
    if entity.expired is not None:
        return _refresh_fix(read, entity.expired, written[1], at)
    if code in ("SQS001", "SQS002"):
        line = ir.line_of(entity.detached_at)
        data = (("name", written[1]), ("attribute", read.name), ("block_line", line))
        return Fix("keep-value", data)
    return None
