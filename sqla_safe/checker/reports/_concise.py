"""One line for each finding: what editors and grep understand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqla_safe.checker.reports._report import is_fixable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqla_safe.checker.findings import Finding
    from sqla_safe.checker.reports._report import Report


def render(report: Report) -> Iterator[str]:
    """Give ``path:line:column: CODE severity: message``."""
    return (_line(finding, report) for finding in report.findings)


def _line(finding: Finding, report: Report) -> str:
    paint = report.paint
    place = f"{paint.bold(finding.file)}:{finding.line}:{finding.column}:"
    mark = paint("36", "[*] ") if is_fixable(finding) else ""
    title = paint.severity(finding.severity, f"{finding.code} {finding.severity}")
    return f"{place} {title}: {mark}{finding.message}"
