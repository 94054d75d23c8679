"""Where an entity came from: one option per statement, which SQLAlchemy hands to its entities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import inspect
from sqlalchemy.orm.interfaces import UserDefinedOption

from sqla_safe.guard._sites import in_function

if TYPE_CHECKING:
    from sqlalchemy.orm import InstanceState, Session

    from sqla_safe._locations import Place
    from sqla_safe.guard._records import Record

INFO = "sqla_safe"
"""The key in an entity's ``inspect(entity).info``, for those that came by ``session.add()``."""


class LoadSite(UserDefinedOption):
    """Carries where a statement ran, and the record of its session.

    It is pickled with the entity as an option of SQLAlchemy's own that holds two texts: whoever
    unpickles it does not need this library.
    """

    __slots__ = ()
    propagate_to_loaders = True

    def __reduce__(self) -> tuple[Any, ...]:
        payload: Any = self.payload
        place, record = payload
        texts = None if place is None else in_function(place), record.opened_at
        return UserDefinedOption, ((INFO, *texts),)


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
            found = Origin(*payload)
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
