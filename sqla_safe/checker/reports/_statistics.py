"""How often each rule was found."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from sqla_safe.checker.reports._report import is_fixable
from sqla_safe.checker.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqla_safe.checker.reports._report import Report


def render(report: Report) -> Iterator[str]:
    """Give one line for each rule that was found, the most frequent first."""
    counts = Counter(finding.code for finding in report.findings).most_common()
    fixable = {finding.code for finding in report.findings if is_fixable(finding)}
    width = max((len(f"{count:,}") for _, count in counts), default=0)
    for code, count in sorted(counts, key=lambda each: (-each[1], each[0])):
        rule = RULES[code]
        mark = "[*]" if code in fixable else "[ ]"
        title = report.paint("1;31", code)
        yield f"{count:>{width},}  {title}  {mark}  {rule.name}: {rule.summary}"
