"""What went wrong with an entity, where, and what to write instead."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Explanation:
    """What `explain` returns, and what an explained exception holds as ``exc.sqla_safe``.

    All places are ``path:line`` or ``path:line in function``, with paths relative to the project;
    None is unknown. No text holds a column value or a bound parameter. ``str()`` gives the lines
    that a traceback shows.
    """

    code: str
    """The code that leads to the documentation, such as ``"SQS101"``."""
    title: str
    """What happened, in one line."""
    instead: str
    """What to write instead."""
    entity: str | None = None
    """The name of the entity's class."""
    attribute: str | None = None
    """The name of the attribute that was read."""
    read: str | None = None
    """Where it was read, or where the session was used."""
    loaded: str | None = None
    """Where the entity was loaded or added."""
    opened: str | None = None
    """Where the block of its session was opened."""
    closed: str | None = None
    """Where that block was closed, or words such as ``"still open"``."""
    session: str | None = None
    """Where the session itself was opened and closed, if a helper of the block did that."""
    cause: str | None = None
    """What threw the value away, and where."""

    def __str__(self) -> str:
        scope = f"opened {self.opened}" if self.opened else None
        if scope and self.closed:
            scope += f", {self.closed}"
        lines = {
            "read": self.read,
            "loaded": self.loaded,
            "scope": scope,
            "session": self.session,
            "cause": self.cause,
            "instead": self.instead,
        }
        body = [f"  {name + ':':<8} {text}" for name, text in lines.items() if text]
        return "\n".join([f"{self.code} {self.title}", *body])
