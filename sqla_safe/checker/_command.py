"""``sqla-safe check``: what is printed where, and the exit code."""

from __future__ import annotations

import io
import os
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from sqla_safe.checker import _atomic, _workers, reports
from sqla_safe.checker._check import Check
from sqla_safe.checker._explain import explanation, fitted
from sqla_safe.checker._mend import Mending, promised
from sqla_safe.checker._paint import Paint, paint_for
from sqla_safe.checker._problems import UsageError
from sqla_safe.checker._request import request
from sqla_safe.checker.reports._report import Report
from sqla_safe.checker.reports._summary import plural, summary

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
        text = explanation(options.explain, paint_for(sys.stdout, options.color))
        _print([fitted(text) if sys.stdout.isatty() else text])
        return 0
    wanted = request(options)
    with closing(Check(wanted, options)) as check:
        return _checked(check, wanted, options)


def _checked(check: Check, wanted: Request, options: Options) -> int:
    if options.fix or options.diff:
        with _workers.collecting(is_on=True):  # syntax trees to be changed
            return _mended(Mending(check), check, wanted, options)
    result = check.result()
    _tell(result, options)
    if options.write_baseline:
        file, count = check.write_baseline(result)
        _note(f"wrote {plural(count, 'finding')} to {file}", options)
        return 0
    _show(result, check, wanted, options)
    return _exit_code(result, wanted, options)


def _mended(mending: Mending, check: Check, wanted: Request, options: Options) -> int:
    _tell(mending.result, options)
    if options.diff:
        _print(mending.diff(paint_for(sys.stdout, options.color)))
        if mending.count:
            _note(f"{plural(mending.count, 'finding')} would be fixed", options)
        return int(bool(mending.before) and not options.exit_zero)
    if wanted.stdin:
        sys.stdout.buffer.write(check.sources.read(wanted.stdin))
    else:
        mending.write()
    _show(mending.result, check, wanted, options, mending.count)
    return _exit_code(mending.result, wanted, options)


def _exit_code(result: Result, wanted: Request, options: Options) -> int:
    counted = [
        finding
        for finding in result.findings
        if wanted.config.strict or finding.severity == "error"
    ]
    return int(bool(counted) and not options.exit_zero)


def _show(result: Result, check: Check, wanted: Request, options: Options, fixed: int = 0) -> None:
    stream = sys.stderr if options.fix and wanted.stdin else sys.stdout  # that holds the source
    name: str = wanted.config.output_format
    paint = paint_for(stream, options.color) if name in _FOR_PEOPLE else Paint(on=False)
    if name in _FOR_PEOPLE or options.statistics:
        result = replace(result, findings=promised(result.findings, check.sources, check.cache))
    report = _report(result, paint, fixed)
    if options.statistics:
        name = "counts" if name == "json" else "statistics"
    render = reports.renderer(name)
    if options.output_file:
        _write(Path(options.output_file), render(replace(report, paint=Paint(on=False))))
    else:
        _print(render(report), stream)
    if wanted.config.output_format in _FOR_PEOPLE and not options.quiet:
        _print(summary(report), stream)


def _write(file: Path, lines: Iterable[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    try:
        _atomic.write(file, text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise UsageError(f"--output-file {file}: {os.strerror(error.errno or 0)}") from error


def _report(result: Result, paint: Paint, fixed: int) -> Report:
    return Report(
        findings=result.findings,
        text=result.text,
        paint=paint,
        files=result.files,
        skipped=len(result.skips),
        known=result.known,
        fixed=fixed,
        cut_short=result.cut_short,
    )


def _tell(result: Result, options: Options) -> None:
    """Say on standard error what is no finding."""
    for skip in result.skips:
        _note(f"{skip.file}:{skip.line}: skipped: {skip.reason}", options)
    if not result.files:
        _note("no Python files were found below the given paths", options)
    if result.stale:
        count = plural(len(result.stale), "entry", "entries")
        _note(f"the baseline holds {count} no longer found (--write-baseline cleans it):", options)
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
