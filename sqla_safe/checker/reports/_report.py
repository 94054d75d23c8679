"""What every form of a report is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqla_safe.checker._paint import Paint
    from sqla_safe.checker._text import SourceText
    from sqla_safe.checker.findings import Finding


@dataclass(frozen=True, slots=True)
class Report:
    """Findings, sorted, and what is needed to show them.

    Attributes:
        findings: what to show.
        text: gives the source of a file.
        paint: the colours.
        files: how many files were checked.
        skipped: how many of them could not be read.
        known: how many findings the baseline holds back.
        fixed: how many findings were mended.
        cut_short: how many functions make more calls than were followed.
    """

    findings: Sequence[Finding]
    text: Callable[[str], SourceText]
    paint: Paint
    files: int = 0
    skipped: int = 0
    known: int = 0
    fixed: int = 0
    cut_short: int = 0


def is_fixable(finding: Finding) -> bool:
    """Return whether `--fix` can mend it."""
    return finding.fix is not None
