"""One function being followed: its frames, the objects made on the way, and what is reported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from sqla_safe.checker._values import (
    Const,
    Entity,
    Expiry,
    Instance,
    Ref,
    Scope,
    State,
    Tup,
    Value,
    join,
)

if TYPE_CHECKING:
    from sqla_safe.checker._index import Class, Function, Module
    from sqla_safe.checker._linked import Linked
    from sqla_safe.checker._recording import Recording
    from sqla_safe.checker._swallowed import Doubt
    from sqla_safe.checker._values import Thing
    from sqla_safe.checker.findings import Fix, Severity

DEEPEST: Final = 5
MOST_STEPS: Final = 2_500
"""The statements and expressions after which a function's calls are not followed any more."""
MOST_OF_ALL: Final = 40_000
"""Those after which the function itself is given up: about a third of a second."""
MOST_IN_A_FILE: Final = 150_000
"""Those after which the rest of a file is given up."""
Operation = Literal["commit", "rollback", "close", "flush", "expunge", "expire", "unwind"]
_RANK: Final = {"error": 0, "warning": 1, "info": 2}


class Frame(Struct, eq=False):
    """A call of one function."""

    function: Function | None
    module: Module
    is_async: bool
    key: tuple[int, ...] = ()
    is_top: bool = False
    closure: dict[str, Value] | None = None
    captured: str = ""
    """What runs this nested function later, such as `after_commit`."""
    globals: set[str] = set()
    returned: list[tuple[State, Value, int]] = []
    broken: list[State] = []
    continued: list[State] = []
    guarded: bool = False
    """Whether a `try` around this point wants to know the states in which it may fail."""
    raised: State | None = None
    blocks: list[tuple[int, int]] = []
    """The sessions opened by `with` blocks around this point, and the lines of these."""
    yielded: tuple[State, Value] | None = None
    on_yield: Literal["", "go", "raise"] = ""
    loops: int = 0
    each: frozenset[int] = frozenset()
    """What the loops around this point go over: each round has another one."""
    before_loops: int = 0
    """The highest number of an object when the outermost of them began."""
    conditions: int = 0
    waits: int = 0
    """How many `await` are around this point."""
    doubts: int = 0
    """How many conditions around this point are about arguments that are not known."""
    unsure: int = 0
    """Whether what is being read may as well be another entity, that has the attribute."""
    fixed: frozenset[str] = frozenset()
    """The arguments that are constants, and stay what they are."""
    forgiven: int = 0
    """How many `try` around this point expect that an attribute is not there."""
    fell: State | None = None
    """What is left of the function's body when it ends without `return`."""
    ties: dict[str, tuple[Doubt, ...]] | None = None
    """The names whose value tells whether a call has rolled back."""

    def swap_raised(self, raised: State | None) -> State | None:
        """Begin to collect anew the states in which the code may fail; return those so far."""
        before, self.raised = self.raised, raised
        return before

    def may_raise(self, state: State) -> None:
        """Note that the code may fail with this state."""
        if self.guarded:  # what two states have in common is a copy of both already
            self.raised = state.copy() if self.raised is None else join(self.raised, state)


class Report(Struct, frozen=True):
    """Something found, in terms of positions."""

    start: int
    end: int
    code: str
    severity: Severity
    message: str
    hint: str
    fix: Fix | None = None


class Trouble(Struct, frozen=True):
    """Something that a called function does to an entity of its caller."""

    oid: int
    code: str
    severity: Severity
    message: str
    hint: str
    expired: Expiry | None = None
    target: Class | str | None = None
    """The class of a many-to-one: with such an entity in the session there is nothing to load."""


class TooLongError(Exception):
    """A function is given up."""


class Run:
    """Everything that one analysis of one function shares."""

    def __init__(self, linked: Linked) -> None:
        """Start anew."""
        self.linked = linked
        self.names = linked.names
        self.models = linked.models
        self.reports: dict[tuple[int, str], Report] = {}
        self.troubles: list[Trouble] = []
        self.log: list[tuple[Operation, int]] | None = None
        self.touched: set[int] = set()
        self.unsure: set[int] = set()
        self.stack: list[Function] = []
        self.recordings: list[Recording] = []
        self.dependencies: dict[Function, Value] = {}
        self.steps, self.most = 0, MOST_OF_ALL
        self.is_cut_short = False
        self.own_ends: set[int] = set()
        self.own_expiries: set[int] = set()
        self.maybe = 0
        self.has_ended = False
        self.doubts: list[Doubt] = []
        self._oids: dict[Any, int] = {}
        self.known_keys: dict[int, Any] = {}

    def oid(self, frame: Frame, at: Any, tag: Any = "") -> int:
        """Return the number of the object made at one place of one call; the same each time."""
        return self._oids.setdefault((frame.key, at, tag), len(self._oids) + 1)

    def make(self, frame: Frame, state: State, at: Any, thing: Thing, tag: str = "") -> Ref:
        """Make an object."""
        oid = self.oid(frame, at, tag)
        state.heap[oid] = thing
        return Ref(oid)

    def is_another(self, frame: Frame, oid: int) -> bool:
        """Return whether each round of a loop has an object of its own where this one stands."""
        key: Any = self.known_keys.get(oid, ("",))
        is_child = key[0] == "child"  # what one entity leads to may be the same for all of them
        return oid in frame.each or (oid > frame.before_loops and not is_child)

    @property
    def mark(self) -> int:
        """The highest number of an object so far: what comes later is newer."""
        return len(self._oids)

    def known(self, key: Any) -> Ref:
        """Return the reference of an object that is found by name, whoever asks."""
        oid = self._oids.setdefault(key, len(self._oids) + 1)
        self.known_keys[oid] = key
        return Ref(oid)

    def root(self, oid: int) -> int:
        """Return the entity that one was reached from, by relationships alone."""
        key = self.known_keys.get(oid)
        while key is not None and key[0] == "child":
            oid = key[1]
            key = self.known_keys.get(oid)
        return oid

    @property
    def is_spent(self) -> bool:
        """Whether the budget of this analysis is used up: then calls are not followed any more."""
        return self.steps > MOST_STEPS

    def can_afford(self, steps: int) -> bool:
        """Return whether calls would still be followed after so many steps more."""
        return self.steps + steps <= MOST_STEPS

    def is_running(self, function: Function) -> bool:
        """Return whether a function is being followed, so that it is not followed inside itself."""
        if function not in self.stack:
            if self.recordings:
                self.recordings[-1].asked.add(function)
            return False
        at = self.stack.index(function)
        for recording in self.recordings:
            recording.is_free &= at >= recording.base
        return True

    def is_mocked(self, function: Function) -> bool:
        """Return whether the file that is looked at puts something else in a function's place."""
        if function.name not in self.linked.mocked:
            return False
        self.depends_on_more()
        return True

    def depends_on_more(self) -> None:
        """Note that what is being followed rests on more than its arguments."""
        for recording in self.recordings:
            recording.is_free = False

    def may_go_on(self) -> bool:
        """Return whether a call can still be followed, and note when it cannot."""
        self.is_cut_short |= self.is_spent
        return not self.is_spent

    def report(self, frame: Frame, report: Report) -> None:
        """Report something, unless the same place has something worse of this rule."""
        if not frame.is_top:
            return
        key = (report.start, report.code)
        before = self.reports.get(key)
        if before is None or _RANK[report.severity] < _RANK[before.severity]:
            self.reports[key] = report

    # --- what sessions do ------------------------------------------------------

    def apply(self, state: State, operation: Operation, oid: int, at: int) -> None:
        """Let a session do something to its entities."""
        scope = state.heap.get(oid)
        if operation == "unwind":
            self._unwind(state, scope, at)
        if not isinstance(scope, Scope):
            return
        self.touched.add(oid)
        if self.log is not None and not self.maybe:
            self.log.append((operation, oid))
        for key, thing in state.heap.items():  # the keys stay the same
            if isinstance(thing, Entity) and thing.scope == oid:
                state.heap[key] = _after(operation, thing, scope, at)
        if operation == "commit":
            state.heap[oid] = replace(scope, has_committed=True, is_busy=False)
        elif operation == "rollback":
            state.heap[oid] = replace(scope, is_busy=False)
        elif operation == "close":
            self.has_ended = True
            state.heap[oid] = replace(scope, is_closed=True, ended_at=at, is_busy=False)

    def _unwind(self, state: State, stack: object, at: int) -> None:
        """End what an `ExitStack` has entered, the last first; a session is closed at once."""
        parts = stack.attributes if isinstance(stack, Instance) else ()
        for _, part in reversed(parts):
            if isinstance(part, Tup) and isinstance(part.items[0], Const):
                operation, ref = part.items[0].value, part.items[1]
                if isinstance(ref, Ref):
                    self.apply(state, operation, ref.oid, at)

    def touch(self, state: State, oid: int, *, busy: bool = True) -> None:
        """Note that a session is used."""
        self.touched.add(oid)
        scope = state.heap.get(oid)
        if isinstance(scope, Scope) and busy and (scope.is_closed or not scope.is_busy):
            state.heap[oid] = replace(scope, is_closed=False, is_busy=True)


def _after(operation: Operation, entity: Entity, scope: Scope, at: int) -> Entity:
    if entity.is_detached or entity.is_free:
        return entity
    if operation == "close":
        return replace(entity, is_detached=True, detached_at=at)
    if operation == "expunge":
        return replace(entity, is_free=True)
    if operation == "rollback":
        return _rolled_back(entity, scope, at)
    if operation == "expire":
        return replace(entity, expired=Expiry("hand", at, is_sure=True), back=frozenset())
    if operation == "commit" and entity.is_deleted:
        return replace(entity, is_free=True)
    source = "load" if entity.source == "new" else entity.source
    stale = Expiry("flush", at, is_sure=True) if entity.is_dirty else entity.stale
    entity = replace(entity, source=source, is_dirty=False, stale=stale)
    if operation == "commit" and scope.expires is not False:
        if entity.expired is not None and entity.expired.by == "commit" and not entity.back:
            return entity
        expired = Expiry("commit", at, is_sure=scope.expires is True)
        return replace(entity, expired=expired, back=frozenset())
    return entity


def _rolled_back(entity: Entity, scope: Scope, at: int) -> Entity:
    if entity.source == "new":
        return replace(entity, is_free=True)
    if not scope.is_busy:
        return entity
    expired = Expiry("rollback", at, is_sure=True)
    return replace(entity, expired=expired, back=frozenset(), is_deleted=False)
