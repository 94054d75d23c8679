"""Rollbacks in `except` branches of called functions that return as if nothing had happened.

What such a call returns may tell: `if not await store(session): return` leaves only the way on
which nothing was rolled back. Where it does not tell, or nobody asks, entities may have expired.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqla_safe.checker import _ir as ir
from sqla_safe.checker._values import Const, Entity, Expiry, Ref, State, Tup, Value, alternatives

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqla_safe.checker._ir import Expr, Node
    from sqla_safe.checker._run import Frame, Run

_UNKNOWN: Final = "?"
_ENTITY: Final = "entity"
Outcome = Const | Tup | str
"""A value that is returned after a rollback: a constant, a tuple, an entity, or something else."""


@dataclass(frozen=True, slots=True)
class Swallowed:
    """The session that a call may have rolled back, and what the call returns then."""

    scope: int
    outcomes: tuple[Outcome, ...]
    spared: frozenset[int]
    """The arguments that have been loaded again."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """What a call may have expired, and what it has returned if it has."""

    expiry: Expiry
    oids: frozenset[int]
    outcomes: tuple[Outcome, ...]

    @property
    def is_plain(self) -> bool:
        """Whether a caller can tell from the result by nothing but its truth."""
        return _UNKNOWN not in self.outcomes

    def at(self, place: int) -> Doubt:
        """Return the doubt about one part of a result that is taken apart."""
        parts = [
            each.items[place] if isinstance(each, Tup) and place < len(each.items) else None
            for each in self.outcomes
        ]
        return Doubt(self.expiry, self.oids, tuple([_outcome_of(part) for part in parts]))


def outcomes(state: State, values: Iterable[Value]) -> tuple[Outcome, ...]:
    """Return what is known of returned values."""
    flat = [one for value in values for one in alternatives(value)]
    return tuple(dict.fromkeys([_outcome(state, one) for one in flat]))


def _outcome(state: State, value: Value) -> Outcome:
    is_entity = isinstance(value, Ref) and state.entity(value) is not None
    return _ENTITY if is_entity else _outcome_of(value)


def _outcome_of(value: Value) -> Outcome:
    return value if isinstance(value, Const | Tup) else _UNKNOWN


def in_doubt(state: State, scope: int) -> frozenset[int]:
    """Return the entities that a rollback of a session would expire."""
    return frozenset(
        [
            oid
            for oid, thing in state.heap.items()
            if isinstance(thing, Entity)
            and thing.scope == scope
            and thing.expired is None
            and thing.source in ("load", "child", "param")
            and not (thing.is_free or thing.is_detached)
        ]
    )


def applied(state: State, doubts: Iterable[Doubt]) -> None:
    """Let entities be what they are when a rollback was swallowed."""
    for doubt in doubts:
        for oid in doubt.oids:
            thing = state.heap.get(oid)
            if isinstance(thing, Entity) and thing.expired is None:
                state.heap[oid] = thing._replace(expired=doubt.expiry, back=frozenset())


def asked(run: Run, state: State) -> tuple[Doubt, ...]:
    """Apply what the calls of a condition have swallowed, and return it."""
    doubts, run.doubts = tuple([each for each in run.doubts if each.is_plain]), []
    applied(state, doubts)
    return doubts


def after(run: Run, frame: Frame, states: tuple[State | None, ...], node: Node) -> None:
    """Apply what the calls of a statement have swallowed, and note where it can be asked for."""
    doubts, run.doubts = run.doubts, []
    is_dropped = node[0] == ir.EXPR and _is_call(node[1])
    chosen = [each for each in doubts if is_dropped or each.is_plain]
    for state in states:
        if state is not None:
            applied(state, chosen)
    if node[0] == ir.ASSIGN and _is_call(node[2]):
        for target in node[1]:
            _note(frame, target, tuple(chosen))


def _note(frame: Frame, target: Expr, doubts: tuple[Doubt, ...]) -> None:
    ties = frame.ties = frame.ties or {}
    if target is not None and target[0] == ir.NAME:
        ties[target[1]] = doubts
    elif target is not None and target[0] == ir.TUPLE:
        for place, part in enumerate(target[1]):
            if part is not None and part[0] == ir.NAME:
                ties[part[1]] = tuple([each.at(place) for each in doubts])


def _is_call(expr: Expr) -> bool:
    inner = expr[1] if expr is not None and expr[0] == ir.AWAIT else expr
    return inner is not None and inner[0] == ir.CALL


def narrowed(
    frame: Frame, state: State, test: Expr, direct: tuple[Doubt, ...], *, truth: bool
) -> State:
    """Return the state with what cannot have been rolled back where a condition is so."""
    if test is None:
        return state
    if test[0] == ir.NOT:
        return narrowed(frame, state, test[1], direct, truth=not truth)
    if test[0] == ir.BOOL:
        for part in test[2] if test[1] is truth else ():
            narrowed(frame, state, part, direct, truth=truth)
        return state
    is_none = test[0] == ir.IS and test[2] == (ir.CONST, None)
    if is_none:
        test, truth = test[1], truth is not test[3]
    name = test[1] if test is not None and test[0] == ir.NAME else ""
    for doubt in direct if _is_call(test) else (frame.ties or {}).get(name, ()):
        if not any(_may_be(each, truth=truth, is_none=is_none) for each in doubt.outcomes):
            _restored(state, doubt.expiry, doubt.oids)
    return state


def _may_be(outcome: Outcome, *, truth: bool, is_none: bool) -> bool:
    if outcome == _UNKNOWN:
        return True
    if isinstance(outcome, Const):
        return (outcome.value is None if is_none else bool(outcome.value)) is truth
    return truth is not is_none


def told(state: State, expiry: Expiry | None) -> None:
    """Forget a doubt that was reported: the first read is the one that raises."""
    if expiry is not None and expiry.by == "call":
        _restored(state, expiry, state.heap)


def _restored(state: State, expiry: Expiry, oids: Iterable[int]) -> None:
    for oid in list(oids):
        thing = state.heap.get(oid)
        if isinstance(thing, Entity) and thing.expired == expiry:
            state.heap[oid] = thing._replace(expired=None)
