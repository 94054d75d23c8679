"""Findings with their lines of source, a caret below what is meant, and the repair."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from unicodedata import east_asian_width

from sqla_safe.checker.reports._report import is_fixable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqla_safe.checker.findings import Finding
    from sqla_safe.checker.reports._report import Report

_AROUND: Final = 2  # lines of source before and after
_TAB: Final = "    "


def render(report: Report) -> Iterator[str]:
    """Give a block of lines for each finding, and an empty one after it."""
    for finding in report.findings:
        yield from _block(finding, report)
        yield ""


def _block(finding: Finding, report: Report) -> Iterator[str]:
    paint = report.paint
    mark = paint("36", "[*] ") if is_fixable(finding) else ""
    title = paint.severity(finding.severity, f"{finding.code} {finding.severity}")
    yield f"{title}: {mark}{paint.bold(finding.message)}"
    first, last = finding.line - _AROUND, finding.line + _AROUND
    lines = report.text(finding.file).lines
    numbers = range(max(first, 1), min(last, len(lines)) + 1)
    width = len(str(numbers[-1])) if numbers else 1
    yield f"{' ' * width}{paint.faint('-->')} {finding.file}:{finding.line}:{finding.column}"
    yield f"{' ' * width} {paint.faint('|')}"
    for number in numbers:
        shown = _printable(lines[number - 1])
        yield f"{paint.faint(f'{number:>{width}} |')} {shown}".rstrip()
        if number == finding.line:
            indent, carets = _carets(finding, lines[number - 1])
            marks = paint.severity(finding.severity, carets)
            yield f"{' ' * width} {paint.faint('|')} {indent}{marks}"
    yield f"{' ' * width} {paint.faint('|')}"
    if finding.hint:
        yield from _help(finding.hint, report)


def _help(hint: str, report: Report) -> Iterator[str]:
    first, *others = hint.split("\n")
    yield f"{report.paint('1;32', 'help')}: {first}"
    yield from (f"      {line}" for line in others)


def _carets(finding: Finding, line: str) -> tuple[str, str]:
    """Return the marks below an expression, to the end of the line if it is longer."""
    start = finding.column - 1
    end = finding.end_column - 1 if finding.end_line == finding.line else len(line)
    marked = _width(line[start : max(end, start + 1)])
    return " " * _width(line[:start]), "^" * max(marked, 1)


def _width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return sum(2 if east_asian_width(char) in "WF" else 1 for char in _printable(text))


def _printable(line: str) -> str:
    """Return a line that cannot move the cursor."""
    spread = line.replace("\t", _TAB)
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in spread)
