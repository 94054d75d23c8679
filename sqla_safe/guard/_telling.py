"""Telling the user: a note on the exception, or a line in the log, once for each site."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqla_safe.guard._explanation import Explanation
    from sqla_safe.guard._records import Guard

logger = logging.getLogger("sqla_safe.guard")


_recent: deque[tuple[str, Explanation]] = deque(maxlen=64)
"""By their exceptions' first lines, for what wraps an exception and keeps only its text."""


def recent(text: str, attribute: object) -> Explanation | None:
    """Return the explanation of an exception whose text another one quotes for an attribute."""
    for line, explanation in reversed(_recent.copy()):
        if line in text and explanation.attribute == attribute:
            return explanation
    return None


def attach(error: BaseException, explanation: Explanation) -> None:
    """Put an explanation beneath an exception; its type and ``str()`` stay as they are."""
    if attached_to(error) is None:
        if error.args and isinstance(error.args[0], str):
            _recent.append((error.args[0], explanation))
        marked: Any = error
        marked.sqla_safe = explanation
        error.add_note(str(explanation))


def attached_to(error: BaseException) -> Explanation | None:
    """Return the explanation that an exception holds."""
    return getattr(error, "sqla_safe", None)


def log(guard: Guard, explanation: Explanation) -> None:
    """Log an explanation, the first time that its site is met."""
    entity, attribute = explanation.entity, explanation.attribute
    if guard.is_news(explanation.code, entity, attribute, explanation.read):
        logger.warning("%s", explanation, extra={"sqla_safe": explanation})
