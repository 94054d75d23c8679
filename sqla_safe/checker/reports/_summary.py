"""The last lines of a report for people."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from sqla_safe.checker.reports._report import is_fixable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqla_safe.checker.findings import Severity
    from sqla_safe.checker.reports._report import Report

_WORDS: Final[Mapping[Severity, str]] = {"error": "error", "warning": "warning", "info": "note"}


def summary(report: Report) -> Iterator[str]:
    """Give the lines that count what was found, and what was not followed."""
    yield from _found(report)
    if report.cut_short:
        lead = plural(report.cut_short, "function leads", "functions lead")
        whose = "its" if report.cut_short == 1 else "their"
        yield f"{lead} to too much code: not all of {whose} calls were followed."


def _found(report: Report) -> Iterator[str]:
    paint = report.paint
    if not report.findings:
        yield paint("1;32", "All checks passed!") + _asides(report)
        return
    counts = Counter(finding.severity for finding in report.findings)
    parts = [
        paint.severity(severity, plural(counts[severity], word))
        for severity, word in _WORDS.items()
        if counts[severity]
    ]
    places = len({finding.file for finding in report.findings})
    yield f"Found {_listed(parts)} in {places} of {plural(report.files, 'file')}{_asides(report)}"
    fixable = sum(map(is_fixable, report.findings))
    if fixable:
        yield f"[*] {fixable} fixable with the `--fix` option."


def _asides(report: Report) -> str:
    parts = [
        f"{report.fixed} fixed" if report.fixed else "",
        f"{report.known} in the baseline" if report.known else "",
        f"{plural(report.skipped, 'file')} skipped" if report.skipped else "",
    ]
    shown = ", ".join(part for part in parts if part)
    return f" ({shown})" if shown else ""


def _listed(parts: list[str]) -> str:
    return " and ".join(part for part in (", ".join(parts[:-1]), parts[-1]) if part)


def plural(count: int, one: str, many: str = "") -> str:
    """Return a number and what it counts."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
