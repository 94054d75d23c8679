"""A list of objects, for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqla_safe.checker.reports._report import Report

KEYS: Final = ("file", "line", "column", "code", "severity", "message", "hint")


def render(report: Report) -> Iterator[str]:
    """Give the whole list; columns count characters from 1."""
    found = [{key: getattr(finding, key) for key in KEYS} for finding in report.findings]
    yield json.dumps(found, indent=2)
