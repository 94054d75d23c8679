"""What the checker reports: a finding, a file it skipped, and what a fix needs to know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]
FixKind = Literal["keep-value", "add-loader", "use-merge-result", "refresh"]


@dataclass(frozen=True, slots=True)
class Fix:
    """What `--fix` has to change; lines and columns count from 1, as in `Finding`.

    ``keep-value``        ``name``, ``attribute``, ``block_line``: save ``name.attribute`` as the
                          last statement of the `with` block that starts there, and read that
    ``add-loader``        ``line``, ``column``: the call of `select`; ``option``: the loader to add,
                          such as ``selectinload(User.balance)``
    ``use-merge-result``  ``line``, ``column``: the expression ``session.merge(name)``; ``name``
    ``refresh``           ``name``, ``after_line``: the statement ``session.commit()``, or
                          ``rollback()``, after which ``name`` has to be loaded again
    """

    kind: FixKind
    data: tuple[tuple[str, str | int], ...]

    def text(self, key: str) -> str:
        """Return a text of the data, empty when it is not there."""
        return str(dict(self.data).get(key, ""))

    def number(self, key: str) -> int:
        """Return a number of the data, 0 when it is not there."""
        return int(dict(self.data).get(key, 0))


@dataclass(frozen=True, slots=True)
class Finding:
    """One place that is wrong; lines and columns count from 1."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int
    code: str
    severity: Severity
    message: str
    hint: str
    fix: Fix | None = None


@dataclass(frozen=True, slots=True)
class Skip:
    """A file that could not be read, and why."""

    file: str
    line: int
    reason: str
