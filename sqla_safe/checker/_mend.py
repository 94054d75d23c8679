"""``--fix`` and ``--diff``: mend, look again, until nothing is left that can be mended."""

from __future__ import annotations

import difflib
import io
import os
from collections import defaultdict
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqla_safe.checker import _atomic, _workers, fixes
from sqla_safe.checker._problems import UsageError
from sqla_safe.checker._record import digest
from sqla_safe.checker._text import decoded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqla_safe.checker._cache import Cache
    from sqla_safe.checker._check import Check, Result
    from sqla_safe.checker._paint import Paint
    from sqla_safe.checker._reading import Sources
    from sqla_safe.checker.findings import Finding

_PASSES: Final = 10


class Mending:
    """Mends the sources of a check, not yet the files.

    Attributes:
        result: what is still found.
        before: the contents that were changed, as they were.
        count: how many findings were mended.
    """

    def __init__(self, check: Check) -> None:
        """Mend what can be mended."""
        fixes.require()
        self._sources = check.sources
        self.before: dict[str, bytes] = {}
        self.count = 0
        self.result: Result = check.result()
        for _ in range(_PASSES):  # a fix can uncover another finding, but not for ever
            if not self._mended():
                break
            self.result = check.result()

    def _mended(self) -> int:
        """Mend each file once, and return how many findings that has mended."""
        by_file: dict[str, list[Finding]] = defaultdict(list)
        for finding in self.result.findings:
            if finding.fix is not None:
                by_file[finding.file].append(finding)
        done = sum([self._mend(file, found) for file, found in by_file.items()])
        self.count += done
        return done

    def _mend(self, file: str, findings: list[Finding]) -> int:
        source = self._sources.read(file)
        fixed = fixes.mended(source, findings)
        if fixed.count:
            self.before.setdefault(file, source)
            self._sources.instead[file] = fixed.source
        return fixed.count

    def write(self) -> None:
        """Write the changed files.

        Raises:
            UsageError: some could not be written; the others were.
        """
        problems = [problem for file in self.before if (problem := self._write(file))]
        if problems:
            raise UsageError(*problems)

    def _write(self, file: str) -> str | None:
        try:
            if Path(file).read_bytes() != self.before[file]:
                return f"{file}: not changed, somebody else has changed it meanwhile"
            _atomic.write(Path(file), self._sources.instead[file])
        except OSError as error:
            return f"{file}: not changed: {os.strerror(error.errno or 0)}"
        return None

    def diff(self, paint: Paint) -> Iterator[str]:
        """Give the changes as a unified diff, line by line."""
        for file, before in self.before.items():
            after = self._sources.instead[file]
            for line in difflib.unified_diff(_lines(before), _lines(after), file, file):
                yield paint(_STYLES.get(line[0], ""), line.rstrip("\r\n"))
                if not line.endswith("\n"):
                    yield "\\ No newline at end of file"


@_workers.collecting(is_on=True)
def promised(findings: Iterable[Finding], sources: Sources, cache: Cache) -> list[Finding]:
    """Return findings without the repairs that `--fix` would not make.

    Where libcst is not installed nothing is promised.
    """
    shown = list(findings)
    by_file: dict[str, list[int]] = defaultdict(list)
    for at, finding in enumerate(shown):
        if finding.fix is not None:
            by_file[finding.file].append(at)
    for file, places in by_file.items():
        wanted = [shown[at] for at in places]
        kept: Sequence[bool] = ()
        if fixes.is_possible():
            kept = _promised(file, wanted, sources, cache)
        for at, is_kept in zip_longest(places, kept, fillvalue=False):
            shown[at] = shown[at] if is_kept else replace(shown[at], fix=None)
    return shown


def _promised(file: str, findings: list[Finding], sources: Sources, cache: Cache) -> Sequence[bool]:
    """Return which repairs of one file would be made, from the cache if nothing has changed."""
    try:
        source = sources.read(file)
    except OSError:  # it has gone since it was checked
        return ()
    wanted = repr([(each.line, each.column, each.fix) for each in findings])
    key = digest(b"promises", source, wanted.encode())
    known = cache.get([key]).get(key)
    if known is None:
        known = bytes(fixes.promised(source, findings))
        cache.put({key: known})
    return [bool(each) for each in known]


def _lines(source: bytes) -> list[str]:
    return list(io.StringIO(decoded(source), newline="\n"))


_STYLES: Final = {"+": "32", "-": "31", "@": "36"}
