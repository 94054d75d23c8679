"""What a name can stand for while a function is followed: values, objects, and states.

Values are immutable and compared by content. Entities, scopes and instances change while the code
runs, so that values only refer to them (`Ref`), and a `State` says what they are like at one point.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sqla_safe.checker._index import Class, Function, Module

_MOST_ALTERNATIVES = 8
WHOLE = "*"
"""Among the loads of an entity that was made here: it has come from the database since."""
_NOTHING: Final = object()
"""What a name has that stands for nothing, not even for None."""


class Changing(Struct, frozen=True):
    """A record of which changed copies are made."""

    def _replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed."""
        return replace(self, **changes)


class Ref(Struct, frozen=True):
    """An entity, scope or instance."""

    oid: int


class Const(Struct, frozen=True):
    """A text, number, boolean or None."""

    value: Any


class Many(Struct, frozen=True):
    """Any number of one value: a list, set, iterator, or the values of a dict."""

    item: Value


class Tup(Struct, frozen=True):
    """A tuple or row."""

    items: tuple[Value, ...]


class Table(Struct, frozen=True):
    """A dict that was written down with its keys."""

    items: tuple[tuple[str, Value], ...]


class Rows(Struct, frozen=True):
    """What `execute`, `scalars` and `query` give: rows that are still to be fetched."""

    query: Query
    is_scalar: bool
    at: int


class Query(Struct, frozen=True):
    """A statement, with the session that will run it when it is a legacy query."""

    targets: tuple[Value, ...]
    loads: frozenset[str]
    is_open: bool
    """Whether it may load more than `loads` says."""
    scope: int | None = None
    at: int = 0
    is_here: bool = False
    """Whether the statement is written in the function that is being looked at."""


class Loader(Struct, frozen=True):
    """A loader option: the paths that it loads, and those it puts off."""

    paths: frozenset[str]
    stem: str
    is_open: bool = False


class ClassRef(Struct, frozen=True):
    """A class: one of the project, or the dotted name of another."""

    of: Class | str


class ClassAttribute(Struct, frozen=True):
    """An attribute of a class, such as `User.balance` in a statement."""

    owner: Class | str
    name: str


class FunctionRef(Struct, frozen=True, eq=False):
    """A function of the project, with what it is bound to."""

    of: Function
    bound: Value = None
    closure: Any = None

    def __eq__(self, other: object) -> bool:
        """Compare without the names around the function: they are the same ones."""
        if not isinstance(other, FunctionRef):
            return NotImplemented
        return self.of is other.of and self.bound == other.bound

    def __hash__(self) -> int:
        """Return a number that equal ones share."""
        return hash((self.of, self.bound))


class ModuleRef(Struct, frozen=True):
    """A module of the project."""

    of: Module


class External(Struct, frozen=True):
    """Something that is not part of the project, by its dotted name."""

    name: str


class Method(Struct, frozen=True):
    """A method of a value that is no instance of the project, such as `session.get`."""

    owner: Value
    name: str


class Maker(Struct, frozen=True):
    """A sessionmaker."""

    is_async: bool | None
    expires: bool | None
    key: str = ""
    begins: bool = False
    is_scoped: bool = False


class Manager(Struct, frozen=True):
    """What a `with` statement enters: a call that opens sessions, or a transaction of one."""

    kind: Literal["session", "maker-begin", "begin", "savepoint", "function", "instance", "closing"]
    subject: Any
    args: Any = ()


class Pending(Struct, frozen=True):
    """A coroutine that nobody has awaited yet, and the scopes that it uses."""

    result: Value
    scopes: frozenset[int] = frozenset()
    entities: frozenset[int] = frozenset()
    called: str = ""


class Kept(Struct, frozen=True):
    """Something that lives as long as the process: a global dict, a cache."""

    name: str


class Alternatives(Struct, frozen=True):
    """One of several values."""

    options: tuple[Value, ...]


Value: TypeAlias = (
    Ref
    | Const
    | Many
    | Tup
    | Table
    | Rows
    | Query
    | Loader
    | ClassRef
    | ClassAttribute
    | FunctionRef
    | ModuleRef
    | External
    | Method
    | Maker
    | Manager
    | Pending
    | Kept
    | Alternatives
    | None
)


class Expiry(Changing, frozen=True):
    """Why the attributes of an entity are gone, and where."""

    by: Literal["commit", "rollback", "flush", "delete", "hand", "call"]
    at: int
    is_sure: bool
    """Whether the settings of the session are known to expire."""
    is_certain: bool = True
    """Whether it happens on every way that leads here."""


class Entity(Changing, frozen=True):
    """What is known of one entity, or of all that came out of one statement."""

    cls: Class | str | None
    scope: int | None
    source: Literal["load", "param", "new", "guess", "child"]
    at: int
    is_here: bool = False
    """Whether `at` is the place of a `select` in the function that is being looked at."""
    loads: frozenset[str] = frozenset()
    """What was loaded: paths, `!name` for what is put off, and `WHOLE` for all that is eager."""
    is_open: bool = False
    """Whether more may have been loaded than `loads` says."""
    expired: Expiry | None = None
    back: frozenset[str] = frozenset()
    """What was read again after it had expired."""
    is_free: bool = False
    is_deleted: bool = False
    """Whether it leaves its session with the next commit."""
    is_made: bool = False
    """Whether the code in sight has made it: a foreign key that it did not set leads nowhere."""
    is_weak: bool = False
    """Whether it is an entity only if somebody reads an id from it."""
    is_captured: bool = False
    is_detached: bool = False
    detached_at: int = 0
    is_dirty: bool = False
    stale: Expiry | None = None
    """The flush after which columns that the server fills are gone."""
    related: tuple[tuple[str, Value], ...] = ()


class Scope(Changing, frozen=True):
    """What is known of one session."""

    is_async: bool | None
    expires: bool | None
    name: str
    at: int
    owner: Literal["local", "param", "dependency", "ambient"]
    is_closed: bool = False
    ended_at: int = 0
    has_committed: bool = False
    is_busy: bool = True
    """Whether a transaction may be open: a rollback without one changes nothing."""


class Instance(Changing, frozen=True):
    """An object of a class that is no entity: a service, a repository, a unit of work."""

    cls: Class | str | None
    attributes: tuple[tuple[str, Value], ...] = ()

    def get(self, name: str) -> Value:
        """Return an attribute that was set."""
        for key, value in self.attributes:
            if key == name:
                return value
        return None

    def has(self, name: str) -> bool:
        """Return whether an attribute was set."""
        return any(key == name for key, _ in self.attributes)

    def with_(self, name: str, value: Value) -> Instance:
        """Return the instance with one attribute set."""
        rest = tuple([pair for pair in self.attributes if pair[0] != name])
        return self._replace(attributes=(*rest, (name, value)))


Thing: TypeAlias = Entity | Scope | Instance


class State(Struct, eq=False):
    """What holds at one point of a function: what names stand for, and the objects."""

    env: dict[str, Value]
    heap: dict[int, Thing]

    def copy(self) -> State:
        """Return a state that can go its own way."""
        return State(dict(self.env), dict(self.heap))

    def entity(self, value: Value) -> Entity | None:
        """Return the entity that a value refers to."""
        thing = self.heap.get(value.oid) if isinstance(value, Ref) else None
        return thing if isinstance(thing, Entity) else None

    def scope(self, value: Value) -> Scope | None:
        """Return the scope that a value refers to."""
        thing = self.heap.get(value.oid) if isinstance(value, Ref) else None
        return thing if isinstance(thing, Scope) else None

    def instance(self, value: Value) -> Instance | None:
        """Return the instance that a value refers to."""
        thing = self.heap.get(value.oid) if isinstance(value, Ref) else None
        return thing if isinstance(thing, Instance) else None


def join(left: State | None, right: State | None) -> State | None:
    """Return what holds where two ways meet."""
    if left is None or right is None:
        return left or right
    if left is right:
        return left
    odd: list[int] = []
    heap = _join_heaps(left.heap, right.heap, odd)
    if odd:
        _settle(left, right, heap, odd)
    return State(_join_dicts(left.env, right.env, join_values), heap)


def _join_heaps(
    left: dict[int, Thing], right: dict[int, Thing], odd: list[int]
) -> dict[int, Thing]:
    """Join the objects of two ways, and note the entities that have expired on one of them."""
    joined = dict(left)
    for key, value in right.items():
        old = joined.get(key)
        if old is value:  # nearly always
            continue
        if old is None:
            joined[key] = value
            continue
        joined[key] = join_things(old, value)
        if isinstance(old, Entity) and isinstance(value, Entity):
            odd += [key] if old.expired is not value.expired else []
    return joined


def _settle(left: State, right: State, heap: dict[int, Thing], odd: list[int]) -> None:
    """Take an entity as it is on the only way on which it is known by a name any more.

    `user = await reload(session)` after a rollback: the entity from before is out of sight there.
    """
    here, there = _in_sight(left), _in_sight(right)
    for oid in odd:
        if (oid in here) is not (oid in there):
            heap[oid] = (left if oid in here else right).heap[oid]


def _in_sight(state: State) -> frozenset[int]:
    """Return the objects that names, and the attributes of objects, lead to."""
    values: list[Value] = list(state.env.values())
    for thing in state.heap.values():
        if isinstance(thing, Instance):
            values += [value for _, value in thing.attributes]
        elif isinstance(thing, Entity) and thing.related:
            values += [value for _, value in thing.related]
    found = {value.oid for value in values if type(value) is Ref}
    held = [value for value in values if type(value) in _HOLDERS]
    found.update([ref.oid for value in held for ref in refs_in(value)])
    return frozenset(found)


def _join_dicts(left: dict[Any, Any], right: dict[Any, Any], both: Callable[..., Any]) -> Any:
    joined = dict(left)
    for key, value in right.items():
        old = joined.get(key, _NOTHING)
        if old is value:
            continue
        joined[key] = value if old is _NOTHING else both(old, value)
    return joined


def join_values(left: Value, right: Value) -> Value:
    """Return what a name stands for where two ways meet; what is known wins over what is not."""
    if right is None or left is right:
        return left
    if left is None or type(left) is Const:
        return right
    if type(right) is Const or left == right:
        return left
    if isinstance(left, Many) and isinstance(right, Many):
        return Many(join_values(left.item, right.item))
    if isinstance(left, Query) and isinstance(right, Query) and left.targets == right.targets:
        is_open = left.is_open or right.is_open
        return replace(left, loads=_join_loads(left.loads, right.loads), is_open=is_open)
    if isinstance(left, Tup) and isinstance(right, Tup) and len(left.items) == len(right.items):
        pairs = zip(left.items, right.items, strict=True)
        return Tup(tuple([join_values(one, other) for one, other in pairs]))
    if isinstance(left, Tup) and isinstance(right, Tup):
        if any(isinstance(item, Loader) for item in (*left.items, *right.items)):
            return Tup((*left.items, *right.items))
        return left if len(left.items) > len(right.items) else right
    options = tuple(dict.fromkeys((*alternatives(left), *alternatives(right))))
    return Alternatives(options) if len(options) <= _MOST_ALTERNATIVES else left


def alternatives(value: Value) -> tuple[Value, ...]:
    """Return each value that one may stand for."""
    return value.options if isinstance(value, Alternatives) else (value,)


def join_things(left: Thing, right: Thing) -> Thing:
    """Return what is known of an object where two ways meet.

    What was loaded on one way counts as loaded, and what has expired on one way as expired: the
    first because conditions that go together are common, the second because `except` branches
    rejoin.
    """
    if left == right:
        return left
    if isinstance(left, Entity) and isinstance(right, Entity):
        return _join_entities(left, right)
    if isinstance(left, Scope) and isinstance(right, Scope):
        is_closed = left.is_closed and right.is_closed
        has_committed = left.has_committed or right.has_committed
        is_busy = left.is_busy or right.is_busy
        return replace(left, is_closed=is_closed, has_committed=has_committed, is_busy=is_busy)
    if isinstance(left, Instance) and isinstance(right, Instance):
        merged = _join_dicts(dict(left.attributes), dict(right.attributes), join_values)
        return left._replace(attributes=tuple(merged.items()))
    return left


def _join_entities(left: Entity, right: Entity) -> Entity:
    if left.is_free is not right.is_free and left.scope != right.scope:
        return right if left.is_free else left  # expunged, and added to another session
    related = _join_dicts(dict(left.related), dict(right.related), join_values)
    expired = _join_expiries(left.expired, right.expired)
    sides = (left, right)
    changed = [one for one in sides if one.is_dirty or one.stale]
    first, *others = [one for one in sides if one.expired] or changed or [left]
    back = first.back.intersection(*[one.back for one in others])
    return replace(
        left,
        loads=_join_loads(left.loads, right.loads),
        is_open=left.is_open or right.is_open,
        expired=expired,
        back=back,
        is_free=left.is_free or right.is_free,
        is_detached=left.is_detached and right.is_detached,
        source=left.source if left.source == right.source else "load",
        is_dirty=left.is_dirty or right.is_dirty,
        stale=left.stale or right.stale,
        related=tuple(related.items()),
    )


def _join_loads(left: frozenset[str], right: frozenset[str]) -> frozenset[str]:
    """Return what is loaded on one way, and what is put off (`!name`) on both."""
    if left == right:
        return left
    both = left & right
    return frozenset([path for path in left | right if path in both or path[0] != "!"])


def meanings(value: Value) -> Sequence[Value]:
    """Return each value that one may stand for, a coroutine standing for what it returns."""
    if type(value) not in _SEVERAL:
        return (value,)
    found: list[Value] = []
    for one in alternatives(value):
        found += meanings(one.result) if isinstance(one, Pending) else (one,)
    return found


def _join_expiries(left: Expiry | None, right: Expiry | None) -> Expiry | None:
    if left is None or right is None:
        one = left or right
        return replace(one, is_certain=False) if one is not None else None
    if left.is_sure is not right.is_sure:
        return replace(left if left.is_sure else right, is_certain=False)
    return replace(left, is_certain=left.is_certain and right.is_certain)


def refs_in(value: object, depth: int = 3) -> Sequence[Ref]:
    """Return each object that a value holds, also inside lists, rows and dicts."""
    if type(value) is Ref:
        return (value,)
    parts_of = _HOLDERS.get(type(value)) if depth else None
    if parts_of is None:
        return ()
    found: list[Ref] = []
    for part in parts_of(value):
        if part is not None:
            found += refs_in(part, depth - 1)
    return found


_SEVERAL = frozenset((Alternatives, Pending))
_HOLDERS: dict[type, Callable[[Any], Iterable[Value]]] = {
    Many: lambda value: (value.item,),
    Tup: attrgetter("items"),
    Alternatives: attrgetter("options"),
    Table: lambda value: [part for _, part in value.items],
    Pending: lambda value: (value.result,),
}
