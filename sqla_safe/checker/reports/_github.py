"""Workflow commands, which GitHub shows beside the lines of a pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqla_safe.checker.findings import Finding, Severity
    from sqla_safe.checker.reports._report import Report

_LEVELS: Final[Mapping[Severity, str]] = {"error": "error", "warning": "warning", "info": "notice"}
_DATA: Final = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY: Final = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"})


def render(report: Report) -> Iterator[str]:
    """Give one command for each finding."""
    return map(_command, report.findings)


def _command(finding: Finding) -> str:
    properties = {
        "title": f"sqla-safe ({finding.code})",
        "file": finding.file,
        "line": finding.line,
        "col": finding.column,
        "endLine": finding.end_line,
        "endColumn": finding.end_column,
    }
    shown = ",".join(
        f"{key}={str(value).translate(_PROPERTY)}" for key, value in properties.items()
    )
    place = f"{finding.file}:{finding.line}:{finding.column}"
    text = f"{place}: {finding.code} {finding.message}"
    body = f"{text}\n{finding.hint}" if finding.hint else text
    return f"::{_LEVELS[finding.severity]} {shown}::{body.translate(_DATA)}"
