"""What a finding is known by when lines have moved."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sqla_safe.checker._text import SourceText
    from sqla_safe.checker.findings import Finding


class Identity(NamedTuple):
    """A finding without its line number."""

    file: str
    code: str
    function: str
    text: str
    """The line of source, with single spaces."""


def identity(finding: Finding, text: SourceText, name: Callable[[str], str] = str) -> Identity:
    """Return what a finding is known by."""
    line = " ".join(text.line(finding.line).split())
    return Identity(name(finding.file), finding.code, text.function_at(finding.line), line)


def numbered(
    findings: Iterable[Finding], text: Callable[[str], SourceText]
) -> Iterator[tuple[Finding, Identity, int]]:
    """Give each finding with its identity and how many like it came before."""
    seen: Counter[Identity] = Counter()
    for finding in findings:
        key = identity(finding, text(finding.file))
        yield finding, key, seen[key]
        seen[key] += 1
