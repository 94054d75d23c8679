"""``# noqa`` comments: which findings they take back, as ruff reads them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sqla_safe.checker._text import SourceText
    from sqla_safe.checker.findings import Finding

_CODE: Final = r"[A-Za-z]+[0-9]+"
_LIST: Final = rf"(?P<colon>\s*:\s*(?P<codes>{_CODE}(?:[\s,]+{_CODE})*)?)?(?![\w-])"
_LINE: Final = re.compile(rf"#\s*(?:sqla-safe\s*:\s*)?noqa{_LIST}", re.IGNORECASE)
_FILE: Final = re.compile(rf"#\s*(?P<tool>sqla-safe|ruff|flake8)\s*:\s*noqa{_LIST}", re.IGNORECASE)


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
    return any(_names(text.comments.get(line, ""), finding.code) for line in places)


def _whole_file(text: SourceText, code: str) -> bool:
    """Return whether a comment on a line of its own takes the code back in the whole file.

    Addressed to another tool it counts only where it names the code: a generated file that ruff
    leaves alone can still have a bug.
    """
    for line, comment in text.comments.items():
        found = _FILE.match(comment)
        if found is None or not text.line(line).lstrip().startswith("#"):
            continue
        is_ours = found["tool"].lower() == "sqla-safe"
        if (is_ours or found["colon"]) and _lists(found, code):
            return True
    return False


def _names(comment: str, code: str) -> bool:
    found = _LINE.search(comment)
    return found is not None and _lists(found, code)


def _lists(found: re.Match[str], code: str) -> bool:
    """Return whether a comment suppresses a code: without a list it suppresses all of them."""
    if found["colon"] is None:
        return True
    return code in re.findall(_CODE, (found["codes"] or "").upper())
