"""Which files are checked: those that are named, and the Python files below named folders."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pathspec import GitIgnoreSpec

from sqla_safe.checker._problems import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqla_safe.checker._config import Config


@dataclass(frozen=True, slots=True)
class Ignores:
    """The patterns of one folder, which count from it."""

    folder: str
    spec: GitIgnoreSpec

    def verdict(self, path: str, *, is_folder: bool) -> bool | None:
        """Return whether a path is ignored; None is no word about it."""
        prefix = self.folder.rstrip(os.sep) + os.sep
        inside = path[len(prefix) :] if path.startswith(prefix) else os.path.basename(path)
        relative = inside.replace(os.sep, "/")
        return self.spec.check_file(relative + "/" if is_folder else relative).include


@dataclass(frozen=True, slots=True)
class Walk:
    """What a walk leaves out."""

    excluded: Ignores
    respect_gitignore: bool

    def files(self, given: str) -> Iterator[str]:
        """Give the Python files below a folder, with names that begin as the folder was given.

        A folder that is named is walked though it is ignored: then only names count inside.
        """
        outer = _outer_ignores(given) if self.respect_gitignore else ()
        if self.leaves_out(given, outer, is_folder=True):
            by_name = replace(self, excluded=replace(self.excluded, folder=_NOWHERE))
            yield from by_name.below(given, ())
        else:
            yield from self.below(given, outer)

    def below(self, folder: str, outer: tuple[Ignores, ...]) -> Iterator[str]:
        """Give the Python files below a folder that nothing leaves out."""
        ignores = outer
        if self.respect_gitignore:
            ignores = (*_ignores_of(os.path.abspath(folder)), *outer)
        for entry in _entries(folder):
            path = os.path.join("" if folder == "." else folder, entry.name)
            is_folder = entry.is_dir(follow_symlinks=False)  # a link to a folder may be a loop
            if not is_folder and not _is_python_file(entry):
                continue
            if self.leaves_out(path, ignores, is_folder=is_folder):
                continue
            if is_folder:
                yield from self.below(path, ignores)
            else:
                yield path

    def leaves_out(self, path: str, ignores: Iterable[Ignores] = (), *, is_folder: bool) -> bool:
        """Return whether a path is excluded, or ignored by git: the innermost word counts."""
        full = os.path.abspath(path)
        if self.excluded.verdict(full, is_folder=is_folder):
            return True
        words = (each.verdict(full, is_folder=is_folder) for each in ignores)
        return next((word for word in words if word is not None), False)


def walk_of(config: Config, root: Path) -> Walk:
    """Return what the configuration leaves out."""
    patterns = (*config.exclude, *config.extend_exclude)
    excluded = Ignores(str(root.absolute()), GitIgnoreSpec.from_lines(patterns))
    return Walk(excluded, config.respect_gitignore)


def discover(given: Iterable[str], config: Config, root: Path) -> list[str]:
    """Return the files to check, each once, in the order of the paths that were given.

    Raises:
        UsageError: a path does not exist.
    """
    paths = list(given)
    missing = [f"{path}: no such file or folder" for path in paths if not os.path.exists(path)]
    if missing:
        raise UsageError(*missing)
    walk = walk_of(config, root)
    found = {real(file): file for path in reversed(paths) for file in _files(path, walk, config)}
    return list(reversed(found.values()))


def real(file: str) -> str:
    """Return what a file really is, whatever links lead to it."""
    if os.path.islink(file):
        return os.path.realpath(file)
    folder, name = os.path.split(os.path.abspath(file))
    return os.path.join(_real_folder(folder), name)


_real_folder: Final = lru_cache(os.path.realpath)  # it asks the system about each part of a path


def _files(given: str, walk: Walk, config: Config) -> list[str]:
    is_folder = os.path.isdir(given)
    if config.force_exclude and walk.leaves_out(given, is_folder=is_folder):
        return []
    path = _tidy(given)
    return list(reversed(list(walk.files(path)))) if is_folder else [path]


def _tidy(path: str) -> str:
    """Drop a leading ``./`` and the like, but no ``..``: behind a link it leads elsewhere."""
    return str(Path(path))


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:  # a folder that may not be read, or has just gone
        return []


def _is_python_file(entry: os.DirEntry[str]) -> bool:
    return entry.name.endswith(".py") and entry.is_file()


_GIT: Final = ".git"
_NOWHERE: Final = "\0"
"""The folder of patterns for paths of which only the name counts."""


def _outer_ignores(folder: str) -> tuple[Ignores, ...]:
    """Return the patterns of the folders around, up to the root of the repository; inner first."""
    found: list[Ignores] = []
    parents = Path(os.path.abspath(folder))
    for parent in (parents, *parents.parents):
        if parent != parents:
            found += _ignores_of(str(parent))
        if (parent / _GIT).exists():
            return (*found, *_ignores_of(str(parent), os.path.join(_GIT, "info", "exclude")))
    return ()  # no repository: a .gitignore further up is somebody else's


def _ignores_of(folder: str, name: str = ".gitignore") -> tuple[Ignores, ...]:
    try:
        text = Path(folder, name).read_text("utf-8", "replace")
    except OSError:
        return ()
    return (Ignores(folder, GitIgnoreSpec.from_lines(text.splitlines())),)
