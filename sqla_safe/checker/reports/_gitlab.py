"""GitLab's Code Quality report."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqla_safe.checker._fingerprints import numbered

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqla_safe.checker._fingerprints import Identity
    from sqla_safe.checker.findings import Finding, Severity
    from sqla_safe.checker.reports._report import Report

_LEVELS: Final[Mapping[Severity, str]] = {"error": "major", "warning": "minor", "info": "info"}


def render(report: Report) -> Iterator[str]:
    """Give the whole list. Two findings never share a fingerprint: GitLab would show one."""
    issues = [_issue(*each) for each in numbered(report.findings, report.text)]
    yield json.dumps(issues, indent=2)


def _issue(finding: Finding, identity: Identity, number: int) -> dict[str, object]:
    seed = "\0".join((*identity, str(number)))
    return {
        "description": f"{finding.code}: {finding.message}",
        "check_name": finding.code,
        "fingerprint": sha256(seed.encode("utf-8", "surrogateescape")).hexdigest(),
        "severity": _LEVELS[finding.severity],
        "location": {
            "path": _relative(finding.file),
            "positions": {
                "begin": {"line": finding.line, "column": finding.column},
                "end": {"line": finding.end_line, "column": finding.end_column},
            },
            "lines": {"begin": finding.line, "end": finding.end_line},
        },
    }


def _relative(file: str) -> str:
    """Return the path from the working directory, where GitLab runs jobs."""
    path = Path(file)
    here = Path.cwd()
    return (path.relative_to(here) if path.is_relative_to(here) else path).as_posix()
