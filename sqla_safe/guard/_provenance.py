"""Where an entity came from: one option per statement, which SQLAlchemy hands to its entities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ref

from sqlalchemy import inspect
from sqlalchemy.orm.interfaces import UserDefinedOption

from sqla_safe.guard import _internals
from sqla_safe.guard._sites import in_function

if TYPE_CHECKING:
    from sqlalchemy.orm import InstanceState, Session

    from sqla_safe._locations import Place
    from sqla_safe.guard._records import Record

KEPT = "_sqla_safe_marked"
"""The attribute of a statement that keeps its marked form."""
INFO = "sqla_safe"
"""The key in an entity's ``inspect(entity).info``, for those that came by ``session.add()``."""


class LoadSite(_internals.Exchanged):
    """Carries where a statement ran, and the record of its session; None before it runs.

    It is pickled with the entity as an option of SQLAlchemy's own that holds two texts: whoever
    unpickles it does not need this library.
    """

    __slots__ = ()

    def for_execution(self, context: Any) -> UserDefinedOption:
        """Return the load site of the execution, which is the session's present one."""
        first = context.top_level_context or context
        for option in getattr(first, "propagated_loader_options", ()):
            if (
                type(option) is LoadSite
            ):  # an eager load is a part of the execution that asks for it
                return option
        session = context.session
        place = session._sqs_place
        return self if place is None else LoadSite((place, session._sqs_record))

    def __reduce__(self) -> tuple[Any, ...]:
        payload: Any = self.payload
        if payload is None:
            return UserDefinedOption, ()
        place, record = payload
        texts = None if place is None else in_function(place), record.opened_at
        return UserDefinedOption, ((INFO, *texts),)


_UNUSED = LoadSite()
"""On the statements that are marked: each execution exchanges it for a load site of its own."""


class Marked:
    """A statement with its mark, kept on the statement itself, which may be executed again.

    SQLAlchemy keeps a statement's cache key with it, and a new copy for each execution would lose
    it: a third of the time of a small SELECT.
    """

    __slots__ = ("_of", "statement")

    def __init__(self, statement: Any) -> None:
        self._of = ref(statement)  # no cycle; and what is derived from it inherits its attributes
        self.statement = _internals.with_option(statement, _UNUSED)

    def is_of(self, statement: object) -> bool:
        """Say whether it is the marked form of this very statement."""
        return self._of() is statement

    def __reduce__(self) -> tuple[Any, ...]:
        return type(None), ()


def marked(statement: Any, session: Any, place: Place | None) -> Any:
    """Return a statement with the mark that its entities get."""
    if session._sqs_record is None:
        session._sqs_known()
    if place is None or not _internals.IS_EXCHANGED:
        return statement.options(LoadSite((place, session._sqs_record)))
    session._sqs_place = place
    values: dict[str, Any] = statement.__dict__
    if KEPT not in values:  # most statements are executed once: no more than that is noted
        if _has_mark(statement):
            return statement
        values[KEPT] = None
        return _internals.with_option(statement, _UNUSED)
    found = values[KEPT]
    if found is None or not found.is_of(statement):
        found = values[KEPT] = Marked(statement)
    return found.statement


def _has_mark(statement: Any) -> bool:
    """Say whether it is a load for an entity that has a mark; each second one adds a third."""
    options = _internals.options_of(statement)
    return bool(options) and any(type(option) is LoadSite for option in options)


class Origin(NamedTuple):
    """Where an entity came from, as far as is known."""

    loaded: Place | str | None = None
    record: Record | None = None
    opened: str | None = None


def origin_of(state: InstanceState[Any]) -> Origin:
    """Return where an entity was loaded last, or added."""
    candidates = [*state.load_options, state.info.get(INFO)]
    found = Origin()
    for option in candidates:
        if isinstance(option, LoadSite):
            payload: Any = option.payload
            found = found if payload is None else Origin(*payload)
        elif isinstance(option, UserDefinedOption) and found.record is None:
            found = _unpickled(option.payload) or found
    return found


def _unpickled(payload: Any) -> Origin | None:
    if isinstance(payload, tuple) and len(payload) == 3 and payload[0] == INFO:  # pyright: ignore[reportUnknownArgumentType]  # noqa: PLR2004
        return Origin(payload[1], None, payload[2])
    return None


def stamp_new(session: Session, place: Place | None, record: Record) -> None:
    """Note for the entities that are about to be inserted where that happened."""
    origin = LoadSite((place, record))
    for entity in session.new:
        entity_state(entity).info.setdefault(INFO, origin)


def entity_state(entity: object) -> InstanceState[Any]:
    """Return SQLAlchemy's state of an entity."""
    state: InstanceState[Any] = inspect(entity)
    return state
