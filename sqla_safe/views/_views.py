"""The views that were asked for: each is compiled once, and kept with the statements it met."""

from __future__ import annotations

import sys
from collections import defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, get_args, get_origin
from weakref import WeakKeyDictionary

from sqlalchemy import Select

from sqla_safe import _mapping
from sqla_safe.errors import ViewDefinitionError
from sqla_safe.views._hints import collection_of, read_hint, type_name
from sqla_safe.views._plan import Plan
from sqla_safe.views._repeats import Repeats
from sqla_safe.views._statements import read_statement
from sqla_safe.views._targets import MAPPED, NOT_A_TARGET, is_target
from sqla_safe.views._unjoined import unjoined

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy.engine import Dialect
    from sqlalchemy.orm import Mapper

    from sqla_safe.views._plan import Prepared

RUN_TIME_CLASSES = 128
"""Classes made at run time whose views are kept; a module's own are kept for as long as it is."""


class Circumstances(NamedTuple):
    """What of a session decides how a statement is made ready."""

    has_listeners: bool = False
    is_apart: bool = False
    """Whether its classes are in several databases."""


class View:
    """A view's class, with its plans and the statements that are ready for them."""

    __slots__ = ("_plans", "_prepared", "_repeats", "generation", "into", "validate")

    def __init__(self, into: Any, generation: int, *, validate: bool) -> None:
        self.into, self.validate, self.generation = into, validate, generation
        self._plans: dict[Mapper[Any], Plan] = {}
        self._prepared: dict[Circumstances, WeakKeyDictionary[Any, Prepared]] = defaultdict(
            WeakKeyDictionary
        )
        self._repeats = Repeats()

    def plan(self, mapper: Mapper[Any]) -> Plan:
        """Return the view compiled against an entity."""
        found = self._plans.get(mapper)
        if found is None:
            found = self._plans[mapper] = Plan(self.into, mapper, validate=self.validate)
        return found

    def prepared(self, statement: Any, *, has_listeners: bool, is_apart: bool = False) -> Prepared:
        """Return what to execute for a user's statement; kept for as long as they keep that."""
        around = Circumstances(has_listeners, is_apart)
        kept = self._prepared[around]
        found = kept.get(statement) if isinstance(statement, Select) else None
        if found is None:
            found = kept[statement] = self._prepare(statement, around)
        return found

    def repeated(
        self, statement: Any, params: Mapping[str, Any] | None, dialect: Dialect
    ) -> tuple[Prepared, dict[str, Any]] | None:
        """Return what is ready for statements like this one, and its values, if there is that."""
        return self._repeats.find(statement, params, dialect, self._prepare)

    def _prepare(self, statement: Any, around: Circumstances | None = None) -> Prepared:
        around = around or Circumstances()
        given = read_statement(statement)
        plan = self.plan(given.mapper)
        prepared = plan.prepared(given, **around._asdict())
        error = unjoined(prepared.level, given, prepared.root)
        if error is not None:
            if not around.has_listeners:  # which may join more to it
                raise error
            prepared.doubted = given._replace(statement=prepared.root)
        return prepared


_lasting: dict[tuple[Any, bool], View] = {}


def view_of(into: Any, statement: Any, *, validate: bool) -> View:
    """Return the view of a class, made when it is asked for the first time.

    Raises:
        ViewStatementError: the statement that it is for is no SELECT of one entity.
        ViewDefinitionError: it is no class of a kind that can be a view.
    """
    try:
        found = _lasting.get((into, validate))
    except TypeError:  # no class at all, such as a list of them
        found = None
    if found is not None and found.generation == _mapping.generation():
        return found
    if not is_target(into):
        _require_targets(into, read_statement(statement).mapper)
    return _made(into, validate=validate)


def plan_of(into: Any, mapper: Mapper[Any], *, validate: bool) -> Plan:
    """Return the plan of a view; compiled when it is asked for the first time.

    Raises:
        ViewDefinitionError: the class cannot be filled from the entity.
    """
    if not is_target(into):
        _require_targets(into, mapper)
    return _made(into, validate=validate).plan(mapper)


def _made(into: Any, *, validate: bool) -> View:
    generation = _mapping.generation()
    if not _is_lasting(into):
        return _passing(into, generation, validate)
    found = _lasting.get((into, validate))
    if found is None or found.generation != generation:
        found = _lasting[into, validate] = View(into, generation, validate=validate)
    return found


@lru_cache(maxsize=RUN_TIME_CLASSES)
def _passing(into: Any, generation: int, validate: bool) -> View:  # noqa: FBT001
    return View(into, generation, validate=validate)


def _is_lasting(kind: Any) -> bool:
    """Say whether a class, its arguments included, can be imported, and so is never let go."""
    parts = get_args(kind)
    if parts:
        return all(map(_is_lasting, (get_origin(kind), *parts)))
    module = sys.modules.get(getattr(kind, "__module__", ""))
    return getattr(module, getattr(kind, "__qualname__", ""), None) is kind


def _require_targets(into: Any, mapper: Mapper[Any]) -> None:
    """Refuse what is no class of ours, such as an instance of one, or a list of them."""
    members = read_hint(into).members
    if len(members) > 1 and all(map(is_target, members)):
        return
    kind = into.__class__
    if is_target(kind) or kind is dict:
        view, problem = kind.__name__, f"this is an instance; write {kind.__name__}, its class"
    else:
        view = repr(into) if isinstance(into, str) else type_name(into)
        problem = f"{view} {_repair(into)}"
    raise ViewDefinitionError(view=view, entity=mapper.class_.__name__, problems=(problem,))


def _repair(into: Any) -> str:
    """Say why something is no view's class, and what to write."""
    if isinstance(into, str):
        return "is a text; write the class itself, without quotes"
    if hasattr(into, "__mapper__"):
        return MAPPED
    inner = _inner(into)
    if inner is None:
        return NOT_A_TARGET
    return f"is not a class alone; write {type_name(inner)}, of which fetch makes a list"


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _inner(into: Any) -> Any:
    """Return the class that a collection is of, or that may be None."""
    members: Iterable[Any] = into if _is_list(into) else read_hint(into).members
    for member in members:
        found = collection_of(member)
        element = member if found is None else found[2]
        if is_target(element):
            return element
    return None
