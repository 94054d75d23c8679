"""The steps of a check: find, filter, hold back, mend."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqla_safe.checker import _cache, _workers
from sqla_safe.checker._baseline import DEFAULT, Baseline
from sqla_safe.checker._filter import filter_of
from sqla_safe.checker._pipeline import Means, Run, Tree
from sqla_safe.checker._progress import Progress
from sqla_safe.checker._reading import Sources
from sqla_safe.checker._text import SourceText

if TYPE_CHECKING:
    from pathlib import Path

    from sqla_safe.checker._fingerprints import Identity
    from sqla_safe.checker._options import Options
    from sqla_safe.checker._record import Outcome
    from sqla_safe.checker._request import Request
    from sqla_safe.checker.findings import Finding, Skip

Text = Callable[[str], SourceText]


@dataclass(slots=True)
class Result:
    """What a check has found.

    Attributes:
        findings: those that count.
        skips: the files that could not be read.
        files: how many files there are.
        text: gives the source of a file.
        known: how many findings the baseline holds back.
        stale: what the baseline lists in vain.
        cut_short: how many functions make more calls than were followed.
    """

    findings: list[Finding]
    skips: list[Skip]
    files: int
    text: Text
    known: int = 0
    stale: list[Identity] = field(default_factory=list[Any])
    cut_short: int = 0


class Check:
    """One check of a request's files, which can be repeated on changed sources."""

    def __init__(self, request: Request, options: Options) -> None:
        """Open the cache, and read standard input if it is asked for."""
        self._request = request
        self._filter = filter_of(request.config, request.codes, request.root)
        self.cache = _cache.Cache(None if options.no_cache else _cache_folder(request))
        self._shows_progress = not options.quiet
        self.sources = Sources({request.stdin: request.content} if request.stdin else None)
        self._baseline = self._read_baseline(options)

    def close(self) -> None:
        """Close the cache."""
        self.cache.close()

    def result(self) -> Result:
        """Return what is found in the sources as they are now."""
        outcome, text = self._outcome(), self._texts()
        found = self._ordered(self._filter(outcome.findings, text))
        if self._baseline is None:
            return Result(found, outcome.skips, outcome.files, text, cut_short=outcome.cut_short)
        new, known, left = self._baseline.split(found, text)
        stale = self._baseline.stale(left, self._request.files)
        return Result(new, outcome.skips, outcome.files, text, known, stale, outcome.cut_short)

    def write_baseline(self, result: Result) -> tuple[Path, int]:
        """Write the findings to the baseline, and return its file and how many it holds."""
        baseline = Baseline(self._baseline_file())
        return baseline.file, baseline.write(result.findings, result.text)

    def _outcome(self) -> Outcome:
        jobs = self._request.config.jobs or _workers.default_jobs()
        wanted = self._request
        root, settings = str(wanted.root.absolute()), wanted.config.settings()
        tree = Tree(wanted.files, wanted.context, self.sources, root, settings)
        with Progress(wanted=self._shows_progress) as progress:
            return Run(tree, Means(self.cache, jobs, progress)).outcome()

    def _ordered(self, findings: list[Finding]) -> list[Finding]:
        places = {file: place for place, file in enumerate(self._request.files)}
        return sorted(findings, key=lambda each: places.get(each.file, len(places)))

    def _texts(self) -> Text:
        """Return what gives sources, and reads each of them once."""
        read: dict[str, SourceText] = {}

        def text(file: str) -> SourceText:
            if file not in read:
                try:
                    read[file] = SourceText(self.sources.read(file))
                except OSError:  # it has gone since it was checked
                    read[file] = SourceText(b"")
            return read[file]

        return text

    def _read_baseline(self, options: Options) -> Baseline | None:
        if options.write_baseline or not self._request.config.baseline:
            return None
        return Baseline.read(self._baseline_file())

    def _baseline_file(self) -> Path:
        return self._request.root / (self._request.config.baseline or DEFAULT)


def _cache_folder(request: Request) -> Path:
    folder = request.config.cache_dir or os.environ.get("SQLA_SAFE_CACHE_DIR") or _cache.FOLDER
    return request.root / folder
