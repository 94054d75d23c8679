"""`dumps`: snapshots as bytes."""

from __future__ import annotations

from functools import partial
from itertools import chain, count
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

import msgspec

from sqla_safe.errors import SnapshotEncodeError, SnapshotSourceError
from sqla_safe.snapshots import _wire
from sqla_safe.snapshots._base import Snapshot
from sqla_safe.snapshots._document import (
    EXPANSION,
    MANY,
    MAP,
    ONE,
    SET,
    VERSION,
    Document,
    Group,
    Links,
    Values,
    footprint,
)
from sqla_safe.snapshots._forms import NoFormError
from sqla_safe.snapshots._survey import Survey, members_of, read
from sqla_safe.snapshots._values import FrozenDict, types_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqla_safe.snapshots._plan import Plan
    from sqla_safe.snapshots._survey import Family

T = TypeVar("T")

_encoders: dict[str, Any] = {
    "msgpack": msgspec.msgpack.Encoder(),
    "json": msgspec.json.Encoder(),
}


def dumps(snap: Any, /, *, format: Literal["msgpack", "json"] = "msgpack") -> bytes:  # noqa: A002
    """Return a snapshot, or a tuple of them, as bytes that hold data only.

    Args:
        snap: a snapshot, or an iterable of snapshots; what they share is written once.
        format: ``"msgpack"``, or ``"json"`` for stores that want text (UTF-8).

    Returns:
        Bytes for `loads`. They are not meant to be read by other programs: see `to_dict`.

    Raises:
        SnapshotSourceError: ``snap`` is no snapshot, or the format does not exist.
        SnapshotEncodeError: a column holds a value of a type that has no form in the data.

    Example:
        >>> data = dumps(snapshot(user, User.avatars))
        >>> loads(User, data).avatars[0].name
        'Mona'
    """
    if format not in _encoders:
        raise SnapshotSourceError(
            problem=f"there is no format {format!r}", instead='format="msgpack" or format="json"'
        )
    many = not isinstance(snap, Snapshot)
    roots = _snapshots_of(snap) if many else [snap]
    survey = Survey(roots)
    try:
        return _Writer(survey, careful=format == "json").write(roots, format, many=many)
    except OverflowError:  # an integer of more than 64 bits, for which nobody looks at first
        return _Writer(survey, careful=True).write(roots, format, many=many)


def _snapshots_of(given: Any) -> list[Any]:
    try:
        roots = list(given)
    except TypeError:
        roots = [given]
    for root in roots:
        if not isinstance(root, Snapshot):
            raise SnapshotSourceError(
                problem=f"dumps() was given an object of type {type(root).__name__}",
                instead="dumps(snapshot(entity, ...))",
            )
    return roots


_NO_TEXT = "str that is no Unicode text (a lone surrogate)"


def _written(attribute: str, write: Callable[[list[Any]], T], values: list[Any]) -> T:
    """Return what values become on the wire.

    Raises:
        SnapshotEncodeError: for one that has no form there; it names the attribute.
    """
    try:
        return write(values)
    except NoFormError as error:
        kind = error.kind.__qualname__
    except UnicodeEncodeError:
        kind = _NO_TEXT
    except ValueError:  # more digits than Python turns into text
        kind = "number of that size"
    raise SnapshotEncodeError(attribute=attribute, kind=kind)


class _Part(NamedTuple):
    """What becomes a group: snapshots of one class, and the columns they all hold."""

    family: Family
    snaps: list[Any]
    columns: dict[str, list[Any]]

    @property
    def is_whole(self) -> bool:
        return len(self.snaps) == len(self.family.snaps)


def _split(family: Family, snaps: list[Any]) -> list[_Part]:
    """Split the snapshots of a class by what they hold."""
    columns: dict[str, list[Any]] = {}
    for name in (*family.plan.slots, *family.plan.declared):
        values, holds = _column(family, name, snaps)
        if holds is None:
            columns[name] = values
        elif any(holds):
            ones = [snap for snap, held in zip(snaps, holds, strict=True) if held]
            others = [snap for snap, held in zip(snaps, holds, strict=True) if not held]
            return _split(family, ones) + _split(family, others)
    return [_Part(family, snaps, columns)]


def _column(family: Family, name: str, snaps: list[Any]) -> tuple[list[Any], list[bool] | None]:
    """Return an attribute of some snapshots; a relationship was read when they were surveyed."""
    surveyed = family.related.get(name, [])
    if snaps is family.snaps and sum(map(len, surveyed)) == len(snaps):
        return list(chain.from_iterable(surveyed)), None
    return read(family.plan, name, snaps)


class _Writer:
    """One writing of surveyed snapshots."""

    def __init__(self, survey: Survey, *, careful: bool) -> None:
        self._survey = survey
        self._careful = careful
        self._parts = [part for one in survey.families.values() for part in _split(one, one.snaps)]
        sizes = [len(part.snaps) for part in self._parts]
        starts = [sum(sizes[:place]) for place in range(len(sizes))]
        self._starts = {
            part.family: start
            for part, start in zip(self._parts, starts, strict=True)
            if part.is_whole
        }
        self._numbers: dict[int, int] = {}

    def write(self, roots: list[Any], form: str, *, many: bool) -> bytes:
        groups = list(map(self._group, self._parts))
        document = Document(VERSION, many, self._roots(roots), groups)
        data = self._encode(document, form)
        plans = [part.family.plan for part in self._parts]
        lacking = footprint(zip(plans, groups, strict=True)) // EXPANSION + 1 - len(data)
        if lacking > 0:
            document.padding = " " * lacking
            data = self._encode(document, form)
        return data

    def _encode(self, document: Document, form: str) -> bytes:
        try:
            encoded: bytes = _encoders[form].encode(document)
        except UnicodeEncodeError:
            raise self._no_text(form) from None
        return encoded

    def _no_text(self, form: str) -> SnapshotEncodeError:
        """Find the column that cannot be encoded, now that one of them could not."""
        attribute = next(
            f"{part.family.plan.owner(name)}.{name}"
            for part in self._parts
            for name, column in part.columns.items()
            if name not in part.family.plan.relations
            and not self._is_text(part.family.plan, name, column, form)
        )
        return SnapshotEncodeError(attribute=attribute, kind=_NO_TEXT)

    def _is_text(self, plan: Plan, name: str, column: list[Any], form: str) -> bool:
        try:
            _encoders[form].encode(self._values(plan, name, column))
        except UnicodeEncodeError:
            return False
        return True

    # --- numbers ---------------------------------------------------------------

    @property
    def numbers(self) -> dict[int, int]:
        """The number of each snapshot by its id; made only when there are not runs alone."""
        if not self._numbers:
            snaps = chain.from_iterable(part.snaps for part in self._parts)
            self._numbers = dict(zip(map(id, snaps), count()))
        return self._numbers

    def _roots(self, roots: list[Any]) -> list[int]:
        family = self._survey.roots
        if family in self._starts:
            start = self._starts[family]
            return list(range(start, start + len(roots)))
        return list(map(self.numbers.__getitem__, map(id, roots)))

    # --- columns ---------------------------------------------------------------

    def _group(self, part: _Part) -> Group:
        plan = part.family.plan
        columns = part.columns.items()
        return Group(
            plan.name,
            plan.fingerprint,
            len(part.snaps),
            [self._values(plan, *one) for one in columns if one[0] not in plan.relations],
            [self._links(part, *one) for one in columns if one[0] in plan.relations],
        )

    def _values(self, plan: Plan, name: str, column: list[Any]) -> Values:
        attribute = f"{plan.owner(name)}.{name}"
        write = partial(_wire.write_column, careful=self._careful)
        kind, plain, text = _written(attribute, write, column)
        if kind in (_wire.ENUM, _wire.FLAG):
            used = types_in(column) - {type(None)}
            if used != {plan.enum_class(name)}:
                raise SnapshotEncodeError(attribute=attribute, kind=used.pop().__qualname__)
        return Values(name, kind, plain, text)

    def _links(self, part: _Part, name: str, column: list[Any]) -> Links:
        run = part.family.run(name) if part.is_whole else None
        if run is not None and run.family in self._starts:
            kind = MANY if part.family.plan.relations[name].uselist else ONE
            first = self._starts[run.family] + run.first
            return Links(name, kind, [first], run.sizes, is_run=True)
        return self._numbered(part.family.plan, name, column)

    def _numbered(self, plan: Plan, name: str, column: list[Any]) -> Links:
        kinds = types_in(column)
        keys = ""
        if FrozenDict in kinds:
            kind = MAP
            attribute = f"{plan.owner(name)}.{name}"
            keys = _written(attribute, _wire.write_text, list(chain.from_iterable(column)))
        elif frozenset in kinds:
            kind = SET
        elif tuple in kinds:
            kind = MANY
        else:
            return Links(name, ONE, list(map(self.numbers.get, map(id, column))))
        members: list[int | None] = list(map(self.numbers.__getitem__, map(id, members_of(column))))
        return Links(name, kind, members, list(map(len, column)), keys=keys)
