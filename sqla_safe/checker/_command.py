"""``sqla-safe check``: what is printed where, and the exit code."""

from __future__ import annotations

import io
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from sqla_safe.checker import _atomic, reports
from sqla_safe.checker._check import Check
from sqla_safe.checker._explain import explanation
from sqla_safe.checker._paint import Paint, paint_for
from sqla_safe.checker._request import request
from sqla_safe.checker.reports._report import Report
from sqla_safe.checker.reports._summary import summary

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqla_safe.checker._check import Result
    from sqla_safe.checker._options import Options
    from sqla_safe.checker._request import Request

_FOR_PEOPLE: Final = ("concise", "full")
_SHOWN: Final = 5  # stale entries of a baseline that are named


def run(options: Options) -> int:
    """Do what was asked for, and return the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files can be any bytes
    if options.explain:
        _print([explanation(options.explain, paint_for(sys.stdout, options.color))])
        return 0
    wanted = request(options)
    with closing(Check(wanted, options)) as check:
        return _checked(check, wanted, options)


def _checked(check: Check, wanted: Request, options: Options) -> int:
    result = check.result()
    _tell(result, options)
    if options.write_baseline:
        file, count = check.write_baseline(result)
        _note(f"Wrote {count} findings to {file}", options)
        return 0
    _show(result, wanted, options)
    return _exit_code(result, wanted, options)


def _exit_code(result: Result, wanted: Request, options: Options) -> int:
    counted = [
        finding
        for finding in result.findings
        if wanted.config.strict or finding.severity == "error"
    ]
    return int(bool(counted) and not options.exit_zero)


def _show(result: Result, wanted: Request, options: Options) -> None:
    name = wanted.config.output_format
    for_people = name in _FOR_PEOPLE
    paint = paint_for(sys.stdout, options.color) if for_people else Paint(on=False)
    report = _report(result, Paint(on=False) if options.output_file else paint)
    lines = list(reports.renderer("statistics" if options.statistics else name)(report))
    if options.output_file:
        text = "".join(f"{line}\n" for line in lines)
        _atomic.write(Path(options.output_file), text.encode("utf-8", "backslashreplace"))
    else:
        _print(lines)
    if for_people and not options.quiet:
        _print(summary(_report(result, paint)))


def _report(result: Result, paint: Paint) -> Report:
    return Report(
        findings=result.findings,
        text=result.text,
        paint=paint,
        files=result.files,
        skipped=len(result.skips),
        known=result.known,
    )


def _tell(result: Result, options: Options) -> None:
    """Say on standard error what is no finding."""
    for skip in result.skips:
        _note(f"{skip.file}:{skip.line}: skipped: {skip.reason}", options)
    if not result.files:
        _note("no Python files were found below the given paths", options)
    if result.stale:
        _note(f"the baseline lists {len(result.stale)} that are gone (--write-baseline):", options)
        for key in result.stale[:_SHOWN]:
            _note(
                f"  {key.file}: {key.code} in {key.function or 'the module'}: {key.text}", options
            )


def _note(text: str, options: Options) -> None:
    if not options.quiet:
        _print([text], sys.stderr)


def _print(lines: Iterable[str], stream: TextIO | None = None) -> None:
    for line in lines:
        print(line, file=stream or sys.stdout)
