"""Colours of a terminal, where there is one that wants them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqla_safe.checker.findings import Severity

When = Literal["auto", "always", "never"]

SEVERITIES: Final[Mapping[Severity, str]] = {"error": "1;31", "warning": "1;33", "info": "1;36"}


@dataclass(frozen=True, slots=True)
class Paint:
    """Puts texts in colour, or leaves them as they are."""

    on: bool

    def __call__(self, style: str, text: str) -> str:
        """Return a text in a style, which is the parameter of an SGR sequence."""
        return f"\x1b[{style}m{text}\x1b[0m" if self.on and style and text else text

    def severity(self, severity: Severity, text: str) -> str:
        """Return a text in the colour of a severity."""
        return self(SEVERITIES[severity], text)

    def bold(self, text: str) -> str:
        """Return a text in bold."""
        return self("1", text)

    def faint(self, text: str) -> str:
        """Return what guides the eye, such as a gutter."""
        return self("1;34", text)


def paint_for(stream: TextIO, when: When, environment: Mapping[str, str] = os.environ) -> Paint:
    """Return the paint for a stream: NO_COLOR and FORCE_COLOR count where nothing is asked for."""
    if when != "auto":
        return Paint(when == "always")
    if environment.get("NO_COLOR"):
        return Paint(on=False)
    if environment.get("FORCE_COLOR"):
        return Paint(on=True)
    return Paint(stream.isatty() and environment.get("TERM") != "dumb")
