"""What a validator met while it read the attributes of an entity: it keeps only text and place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy
from sqlalchemy.orm import InstanceState

from sqla_safe.guard import _codes
from sqla_safe.guard._diagnose import diagnose, home_of
from sqla_safe.guard._internals import Access
from sqla_safe.guard._telling import recent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqla_safe.guard._explanation import Explanation

_BY_NAME = (
    ("DetachedInstanceError", _codes.DETACHED),
    ("MissingGreenlet", _codes.IMPLICIT_IO),
    ("ObjectDeletedError", _codes.ROW_GONE),
    (" is not available due to ", _codes.RAISELOAD),
)


def quoted(error: BaseException) -> Explanation | None:
    """Return what pydantic's ValidationError, or FastAPI's of a response, is about."""
    if not type(error).__name__.endswith("ValidationError"):
        return None
    for text, attribute, given in _quotes(error):
        found = _of_entity(text, attribute, given)
        if found is not None:
            return found
    return None


def _quotes(error: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield the exception's text, the attribute, and the object that it was read from."""
    lines = getattr(error, "errors", None)
    lines = lines() if callable(lines) else ()
    for line in lines if isinstance(lines, (list, tuple)) else ():
        match line:
            case {"type": "get_attribute_error", "loc": [*_, name], "ctx": {"error": text}}:
                yield str(text), name, line.get("input")
            case _:
                continue


def _of_entity(text: str, attribute: Any, given: Any) -> Explanation | None:
    """Return what the guard has told of it, or else what the entity itself tells."""
    first = text.partition("\n")[0]
    code = next((code for name, code in _BY_NAME if name in first), None)
    if code is None:
        return None
    state: Any = sqlalchemy.inspect(given, raiseerr=False)
    is_entity = isinstance(state, InstanceState)
    return _of_state(code, state, text, attribute) if is_entity else None


def _of_state(code: str, state: Any, text: str, attribute: Any) -> Explanation | None:
    _, record = home_of(state)
    told = None if record is None else recent(text, attribute)
    return told or diagnose(code, Access(state, attribute), None)
