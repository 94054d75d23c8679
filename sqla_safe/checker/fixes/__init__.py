"""``--fix``: what can be mended without changing what a program does."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from sqla_safe.checker._problems import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqla_safe.checker.findings import Finding


@dataclass(frozen=True, slots=True)
class Fixed:
    """A source after some fixes.

    Attributes:
        source: the new content, with the encoding and the newlines of the old one.
        count: how many findings it mends; 0 when nothing could be changed.
    """

    source: bytes
    count: int


def require() -> None:
    """Make sure that fixes can be made.

    Raises:
        UsageError: libcst is not installed.
    """
    if not is_possible():
        raise UsageError(
            "--fix and --diff need libcst, which is not installed: pip install 'sqla-safe[fix]'"
        )


def is_possible() -> bool:
    """Return whether fixes can be made at all."""
    return find_spec("libcst") is not None


def promised(source: bytes, findings: Sequence[Finding]) -> list[bool]:
    """Return of each finding whether it would be mended, if it were the only one."""
    from sqla_safe.checker.fixes._promise import promises

    return promises(source, findings)


def mended(source: bytes, findings: Iterable[Finding]) -> Fixed:
    """Return a source with as many findings mended as can be done safely at once."""
    from sqla_safe.checker.fixes._apply import apply

    return apply(source, findings)
