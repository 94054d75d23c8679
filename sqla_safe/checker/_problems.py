"""What stops a run before it has a result: exit code 2, one line for each problem, no traceback."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class UsageError(Exception):
    """The command line or the configuration cannot be followed.

    Attributes:
        problems: what is wrong, one sentence each; all that were found.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)
        self.problems = problems


def unknown(what: str, given: str, valid: Iterable[str]) -> str:
    """Say that a name does not exist, with the nearest one or else all that do."""
    names = list(valid)
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.75)
    hint = f"did you mean {near[0]!r}?" if near else f"valid are: {', '.join(names)}"
    return f"unknown {what} {given!r}; {hint}"
