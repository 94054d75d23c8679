"""``# noqa`` comments: which findings they take back, as ruff reads them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sqla_safe.checker._text import SourceText
    from sqla_safe.checker.findings import Finding

_CODE: Final = r"[A-Za-z]+[0-9]+"
_LINE: Final = re.compile(
    rf"#\s*noqa(?P<colon>\s*:\s*(?P<codes>{_CODE}(?:[\s,]+{_CODE})*)?)?(?![\w-])", re.IGNORECASE
)
_FILE: Final = re.compile(
    rf"#\s*sqla-safe\s*:\s*noqa(?P<colon>\s*:\s*(?P<codes>{_CODE}(?:[\s,]+{_CODE})*)?)?\s*$",
    re.IGNORECASE,
)


def is_suppressed(finding: Finding, text: SourceText) -> bool:
    """Return whether a comment takes the finding back.

    It may stand on the line of the finding, or on the last line of the statement: a string over
    several lines has no other place for it.
    """
    if not text.mentions_noqa:
        return False
    if _whole_file(text, finding.code):
        return True
    places = {finding.line, finding.end_line, text.ends.get(finding.line, finding.line)}
    return any(_names(_LINE, text.comments.get(line, ""), finding.code) for line in places)


def _whole_file(text: SourceText, code: str) -> bool:
    return any(_names(_FILE, comment, code) for comment in text.comments.values())


def _names(pattern: re.Pattern[str], comment: str, code: str) -> bool:
    """Return whether a comment suppresses a code: without a list it suppresses all of them."""
    found = pattern.search(comment)
    if found is None:
        return False
    if found["colon"] is None:
        return True
    return code in re.findall(_CODE, (found["codes"] or "").upper())
