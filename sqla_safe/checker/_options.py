"""The command line."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from sqla_safe import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqla_safe.checker._config import OutputFormat
    from sqla_safe.checker._paint import When

_FORMATS: Final = ("concise", "full", "json", "github", "gitlab", "sarif")
_EPILOG: Final = """\
exit codes:
  0  nothing of level error (with --strict: nothing at all)
  1  findings that count, or changes shown by --diff
  2  the command line or the configuration is wrong; nothing was checked
"""


class Options(argparse.Namespace):
    """What was asked for; None is nothing, so that the configuration decides."""

    paths: list[str]
    select: list[str] | None
    ignore: list[str] | None
    exclude: list[str] | None
    extend_exclude: list[str] | None
    force_exclude: bool | None
    respect_gitignore: bool | None
    output_format: OutputFormat | None
    output_file: str | None
    statistics: bool
    strict: bool | None
    exit_zero: bool
    fix: bool
    diff: bool
    baseline: str | None
    write_baseline: bool
    stdin_filename: str | None
    explain: str | None
    config: list[str]
    no_cache: bool
    cache_dir: str | None
    jobs: int | None
    quiet: bool
    color: When


def parse(arguments: Sequence[str]) -> Options:
    """Return the options; a wrong command line ends the process with exit code 2."""
    parser = argparse.ArgumentParser(
        prog="sqla-safe", description="Find SQLAlchemy session bugs before they run."
    )
    parser.add_argument("--version", action="version", version=f"sqla-safe {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _fill(
        commands.add_parser(
            "check",
            help="find entities that are used outside of their session",
            description="Find entities that are used outside of their session.",
            epilog=_EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    return parser.parse_args(arguments, Options())


def _fill(check: argparse.ArgumentParser) -> None:
    check.add_argument(
        "paths", nargs="*", metavar="PATH", help="files and folders, or - for standard input (.)"
    )
    _rules(check.add_argument_group("rules"))
    _files(check.add_argument_group("files"))
    _output(check.add_argument_group("output"))
    _repairs(check.add_argument_group("repairs and known findings"))
    _running(check.add_argument_group("running"))


def _list(group: argparse._ArgumentGroup, name: str, what: str, text: str) -> None:
    """Add an option that takes parts with commas between them, and can be repeated."""
    group.add_argument(name, action="extend", type=_parts, metavar=what, help=text)


def _parts(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _rules(group: argparse._ArgumentGroup) -> None:
    _list(group, "--select", "CODES", "rules to use: codes, their beginnings, or ALL")
    _list(group, "--ignore", "CODES", "rules to leave out")
    group.add_argument(
        "--explain", metavar="CODE", help="explain a rule, or a run-time code SQS1xx"
    )


def _files(group: argparse._ArgumentGroup) -> None:
    _list(group, "--exclude", "PATTERNS", "leave these out, instead of the defaults")
    _list(group, "--extend-exclude", "PATTERNS", "leave these out too")
    group.add_argument(
        "--force-exclude",
        action=argparse.BooleanOptionalAction,
        help="also leave out files that are named on the command line",
    )
    group.add_argument(
        "--respect-gitignore",
        action=argparse.BooleanOptionalAction,
        help="leave out what .gitignore names (default)",
    )
    group.add_argument(
        "--stdin-filename", metavar="FILE", help="the name of what standard input holds"
    )


def _output(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--output-format", choices=_FORMATS, help="default: full")
    group.add_argument("-o", "--output-file", metavar="FILE", help="write findings there")
    group.add_argument("--statistics", action="store_true", help="count findings by rule")
    group.add_argument("-q", "--quiet", action="store_true", help="print findings, nothing else")
    group.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="default: at a terminal, unless NO_COLOR is set",
    )
    group.add_argument(
        "--strict",
        action=argparse.BooleanOptionalAction,
        help="exit with 1 on findings of every level, not only on errors",
    )
    group.add_argument("--exit-zero", action="store_true", help="exit with 0 whatever is found")


def _repairs(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--fix", action="store_true", help="mend what can be mended safely")
    group.add_argument("--diff", action="store_true", help="show what --fix would change")
    group.add_argument("--baseline", metavar="FILE", help="hold back the findings that it lists")
    group.add_argument(
        "--write-baseline",
        action="store_true",
        help="write the findings of now to the baseline (default file: sqla-safe-baseline.json)",
    )


def _running(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="FILE | 'KEY = VALUE'",
        help="a TOML file instead of the nearest pyproject.toml, or one setting",
    )
    group.add_argument("--no-cache", action="store_true", help="neither read nor write the cache")
    group.add_argument("--cache-dir", metavar="FOLDER", help="default: .sqla_safe_cache")
    group.add_argument("-j", "--jobs", type=int, metavar="N", help="default: one a processor")
