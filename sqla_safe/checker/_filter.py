"""Which findings count, and at which level: selection, levels, suppressions."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pathspec import GitIgnoreSpec

from sqla_safe.checker import _noqa, _selection
from sqla_safe.checker._discovery import Ignores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from sqla_safe.checker._config import Config
    from sqla_safe.checker._text import SourceText
    from sqla_safe.checker.findings import Finding, Severity


@dataclass(frozen=True, slots=True)
class Filter:
    """What the configuration and the comments in a file leave of its findings."""

    codes: frozenset[str]
    by_file: tuple[tuple[Ignores, frozenset[str]], ...]
    severities: Mapping[str, Severity]

    def __call__(
        self, findings: Iterable[Finding], text: Callable[[str], SourceText]
    ) -> list[Finding]:
        """Return the findings that count, in the order of their places."""
        counted = {
            self._levelled(finding)
            for finding in findings
            if finding.code in self.codes and not self._is_ignored(finding)
        }
        left = [each for each in counted if not _noqa.is_suppressed(each, text(each.file))]
        return sorted(left, key=lambda each: (each.line, each.column, each.code, each.message))

    def _is_ignored(self, finding: Finding) -> bool:
        return any(
            finding.code in codes
            and bool(ignores.verdict(os.path.abspath(finding.file), is_folder=False))
            for ignores, codes in self.by_file
        )

    def _levelled(self, finding: Finding) -> Finding:
        level = self.severities.get(finding.code, finding.severity)
        return replace(finding, severity=level)


def filter_of(config: Config, codes: frozenset[str], root: Path) -> Filter:
    """Return what a configuration leaves of findings."""
    by_file = tuple(
        (Ignores(str(root), GitIgnoreSpec.from_lines([glob])), _selection.matching(selectors))
        for glob, selectors in config.per_file_ignores.items()
    )
    return Filter(codes, by_file, _severities(config))


def _severities(config: Config) -> dict[str, Severity]:
    """Return the levels that are set, by code; the longer selector wins."""
    by_length = sorted(config.severity.items(), key=lambda each: len(each[0]))
    return {
        code: level for selector, level in by_length for code in _selection.matching([selector])
    }
