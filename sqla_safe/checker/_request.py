"""What one call of ``sqla-safe check`` is about: the command line, put over the configuration."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqla_safe.checker import _config, _discovery, _nearby, _selection
from sqla_safe.checker._problems import UsageError
from sqla_safe.checker._reading import Sources

if TYPE_CHECKING:
    from sqla_safe.checker._config import Config
    from sqla_safe.checker._options import Options

STDIN: Final = "-"
_PLACES: Final = {"baseline", "cache_dir"}
"""Paths that count from the working directory on the command line."""
_LISTS: Final = {"select", "ignore", "exclude", "extend_exclude"}


@dataclass(frozen=True, slots=True)
class Request:
    """What to check, and how.

    Attributes:
        config: the settings, those of the command line included.
        root: the folder that paths in the configuration count from.
        codes: the rules that apply.
        files: the paths to report on.
        context: the paths that are only read.
        stdin: the name under which standard input is checked, if it is.
        content: what standard input holds, then.
    """

    config: Config
    root: Path
    codes: frozenset[str]
    files: list[str]
    context: list[str]
    stdin: str | None
    content: bytes = b""


def request(options: Options) -> Request:
    """Return what is to be done.

    Raises:
        UsageError: the command line or the configuration is wrong.
    """
    stdin = _stdin_name(options)
    paths = options.paths or ["."]
    found = _config.load(options.config, _start([stdin] if stdin else paths))
    config = _overridden(found.config, options)
    files = [stdin] if stdin else _discovery.discover(paths, config, found.root)
    content = stdin_content() if stdin else b""
    sources = Sources({stdin: content} if stdin else None)
    is_named = bool(stdin) or any(map(os.path.isfile, paths))
    return Request(
        config=config,
        root=found.root,
        codes=_codes(found.config, options),
        files=files,
        context=_context(config, found.root, files, sources if is_named else None),
        stdin=stdin,
        content=content,
    )


def _stdin_name(options: Options) -> str | None:
    """Return the name of standard input, if it is to be checked."""
    if options.paths == [STDIN] or (options.stdin_filename and not options.paths):
        return options.stdin_filename or "<stdin>"
    if STDIN in options.paths or options.stdin_filename:
        raise UsageError("standard input (-) cannot be checked together with files")
    return None


def _start(paths: list[str]) -> Path:
    """Return the innermost folder that holds all paths."""
    folders = [
        os.path.realpath(path if os.path.isdir(path) else Path(path).parent) for path in paths
    ]
    try:
        return Path(os.path.commonpath(folders))
    except ValueError:  # several drives
        return Path.cwd()


def _overridden(config: Config, options: Options) -> Config:
    """Put the command line over the configuration."""
    values = {each.name: getattr(options, each.name, None) for each in fields(_config.Config)}
    given: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
    lists = {name: tuple(given[name]) for name in _LISTS & given.keys()}
    places = {name: os.path.abspath(given[name]) for name in _PLACES & given.keys()}
    changed = replace(config, **{**given, **lists, **places})
    if problems := _config.validated(changed, "--"):
        raise UsageError(*dict.fromkeys(problems))
    return changed


def _codes(config: Config, options: Options) -> frozenset[str]:
    """Return the rules; what the command line selects counts, whatever is configured."""
    if options.select is not None:
        return _selection.selected(options.select, options.ignore or ())
    codes = _selection.selected(config.select, config.ignore)
    return codes - _selection.matching(options.ignore or ())


def _context(config: Config, root: Path, files: list[str], named: Sources | None) -> list[str]:
    """Return the files of ``context``, or that named files import, and are not checked anyway."""
    if not config.context:
        return _imported(config, root, files, named) if named is not None else []
    wanted = [os.path.relpath(root / path) for path in config.context]
    known = {_discovery.real(file) for file in files}
    found = _discovery.discover(wanted, config, root)
    return [file for file in found if _discovery.real(file) not in known]


def _imported(config: Config, root: Path, files: list[str], sources: Sources) -> list[str]:
    """Return the files of the project that single files import: models, sessionmakers, services."""
    walk = _discovery.walk_of(config, root)

    def is_wanted(path: str) -> bool:
        return not walk.leaves_out(path, is_folder=False)

    return _nearby.imported(files, os.path.realpath(root), sources.read, wanted=is_wanted)


def stdin_content() -> bytes:
    """Return what standard input holds."""
    return sys.stdin.buffer.read()
