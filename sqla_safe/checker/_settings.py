"""What a user may tell the analysis about a code base."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the files do not say, or say in a way that cannot be followed.

    Patterns are those of the shell, with ``*`` and ``?``, for names without dots.
    """

    scopes: tuple[str, ...] = ()
    """Functions and classes whose call in a `with` opens a session, such as ``get_*_service``."""
    session_names: tuple[str, ...] = ()
    """Parameters, variables and attributes that hold a session, such as ``tx``."""
    expire_on_commit: bool | None = None
    """What sessions do of which the setting is not known."""

    def opens(self, name: str) -> bool:
        """Return whether calling something in a `with` opens a session."""
        return _matches(self.scopes, name)

    def is_session(self, name: str) -> bool:
        """Return whether a name holds a session."""
        return _matches(self.session_names, name)


def _matches(patterns: tuple[str, ...], name: str) -> bool:
    return bool(patterns and _compiled(patterns).match(name))


@lru_cache(maxsize=16)
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, patterns)))
