"""The survey of a graph of snapshots before `dumps` writes it: who is there, and in which order.

It goes level by level, like the walk that froze them. What it looks for are runs: the members of
collections that are met for the first time stand in a row, and so do those whose owner is the same.
Neither needs a number for each of them, nor a look-up.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import chain, count, repeat
from operator import is_
from typing import TYPE_CHECKING, Any, NamedTuple

from sqla_safe.errors import NotLoadedError
from sqla_safe.snapshots._attributes import real_dict
from sqla_safe.snapshots._values import FrozenDict, types_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqla_safe.snapshots._plan import Plan


class Run(NamedTuple):
    """A column of relationships that needs no numbers but the first: see `_document.Links`."""

    family: Family
    first: int
    end: int
    sizes: list[int]


class Family:
    """The snapshots of one class in their order, with what the survey has read of them."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.snaps: list[Any] = []
        self.places: dict[int, int] = {}
        self.related: defaultdict[str, list[list[Any]]] = defaultdict(list)
        self.runs: defaultdict[str, list[Run | None]] = defaultdict(list)

    def enter(self, snaps: list[Any]) -> bool:
        """Add snapshots that are new and distinct; say no, and add none, when they are not."""
        places = dict(zip(map(id, snaps), count(len(self.snaps))))
        if len(places) < len(snaps) or not self.places.keys().isdisjoint(places):
            return False
        if self.places:
            self.places.update(places)
        else:
            self.places = places
        self.snaps += snaps
        return True

    def run(self, key: str) -> Run | None:
        """Return the run of a relationship of all snapshots, None when there is none."""
        whole: Run | None = None
        for part in self.runs[key]:
            if part is None:
                return None
            if whole is None or whole.first == whole.end:
                whole = part._replace(sizes=[])
            elif part.first == part.end:
                continue
            elif part.family is not whole.family or part.first != whole.end:
                return None
            whole = whole._replace(end=part.end)
        sizes = [run.sizes for run in self.runs[key] if run is not None]
        return whole and whole._replace(sizes=list(chain.from_iterable(sizes)))


class _Batch(NamedTuple):
    """Snapshots of one class that were met together, and the run of their owners, if they have."""

    family: Family
    snaps: list[Any]
    owners: Run | None


class Survey:
    """All snapshots that can be reached from some, by class."""

    def __init__(self, roots: list[Any]) -> None:
        self.families: dict[Plan, Family] = {}
        self._queue: list[_Batch] = []
        self.roots = self._meet(roots)
        for batch in self._queue:  # it grows meanwhile
            for key in batch.family.plan.relations:
                self._follow(batch, key)

    def _meet(self, snaps: list[Any], owners: Run | None = None) -> Family | None:
        """Enter snapshots; return their family if they are all new, distinct and of one class."""
        kinds = types_in(snaps)
        if len(kinds) == 1:
            family = self._family(next(iter(kinds)))
            if family.enter(snaps):
                self._queue.append(_Batch(family, snaps, owners))
                return family
        for kind in kinds:
            family = self._family(kind)
            ones = {id(one): one for one in snaps if type(one) is kind}
            fresh = [one for key, one in ones.items() if key not in family.places]
            if fresh and family.enter(fresh):
                self._queue.append(_Batch(family, fresh, None))
        return None

    def _family(self, kind: Any) -> Family:
        plan: Plan = kind._sqs_plan
        family = self.families.get(plan)
        if family is None:
            family = self.families[plan] = Family(plan)
        return family

    def _follow(self, batch: _Batch, key: str) -> None:
        """Meet what a relationship of some snapshots leads to."""
        column, holds = read(batch.family.plan, key, batch.snaps)
        if holds is not None:
            self._meet(list(members_of(column)))
            return
        if batch.family.plan.relations[key].uselist and types_in(column) == {tuple}:
            run = self._collections(batch, column)
        else:
            run = _back(batch, column)
            if run is None:
                self._meet(list(members_of(column)))
        batch.family.related[key].append(column)
        batch.family.runs[key].append(run)

    def _collections(self, batch: _Batch, column: list[tuple[Any, ...]]) -> Run | None:
        sizes = list(map(len, column))
        start = batch.family.places[id(batch.snaps[0])]
        owners = Run(batch.family, start, start + len(sizes), sizes)
        members = list(chain.from_iterable(column))
        if not members:
            return Run(batch.family, 0, 0, sizes)
        family = self._meet(members, owners)
        if family is None:
            return None
        end = len(family.snaps)
        return Run(family, end - len(members), end, sizes)


def _back(batch: _Batch, column: list[Any]) -> Run | None:
    """Return the run of the owners when a relationship leads each snapshot back to its own."""
    owners = batch.owners
    if owners is None:
        return None
    owning = owners.family.snaps[owners.first : owners.end]
    expected = chain.from_iterable(map(repeat, owning, owners.sizes))
    return owners if all(map(is_, column, expected)) else None


def read(plan: Plan, name: str, snaps: list[Any]) -> tuple[list[Any], list[bool] | None]:
    """Return the values of an attribute; and who holds it, when not all do."""
    if name in plan.declared:
        dicts = list(map(real_dict, snaps))
        values = [held[name] for held in dicts if name in held]
        return values, None if len(values) == len(snaps) else [name in held for held in dicts]
    try:
        return plan.read[name](snaps), None
    except NotLoadedError:
        return _read_partly(plan.slots[name].__get__, snaps)


def _read_partly(get: Callable[[Any], Any], snaps: list[Any]) -> tuple[list[Any], list[bool]]:
    values: list[Any] = []
    holds: list[bool] = []
    for snap in snaps:
        try:
            values.append(get(snap))
            holds.append(True)
        except AttributeError:
            holds.append(False)
    return values, holds


def members_of(column: list[Any]) -> Iterable[Any]:
    """Return the snapshots that a column of relationships holds."""
    kinds = types_in(column)
    if kinds <= {tuple, frozenset}:
        return chain.from_iterable(column)
    if FrozenDict in kinds:
        return chain.from_iterable([held.values() for held in column])
    return column if type(None) not in kinds else [one for one in column if one is not None]
