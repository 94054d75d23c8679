"""How often each rule was found, for programs."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from sqla_safe.checker.reports._report import is_fixable
from sqla_safe.checker.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqla_safe.checker.reports._report import Report


def render(report: Report) -> Iterator[str]:
    """Give a list with an object for each rule, the most frequent first."""
    counts = Counter(finding.code for finding in report.findings).items()
    fixable = {finding.code for finding in report.findings if is_fixable(finding)}
    found = [
        {"code": code, "name": RULES[code].name, "count": count, "fixable": code in fixable}
        for code, count in sorted(counts, key=lambda each: (-each[1], each[0]))
    ]
    yield json.dumps(found, indent=2)
