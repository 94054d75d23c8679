"""Where a session was opened or closed: the line itself, and the blocks around it."""

from __future__ import annotations

import contextlib
import linecache
import os
import sys
from functools import lru_cache
from inspect import CO_ASYNC_GENERATOR, CO_GENERATOR
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from sqla_safe._locations import KINDS, Place, here, kind_of, stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType

Site: TypeAlias = tuple[Place, ...]
"""A line, and the lines of the ``with`` blocks that it serves, innermost first."""

_GENERATORS = CO_GENERATOR | CO_ASYNC_GENERATOR
_HOOKS = frozenset(("__enter__", "__aenter__", "__exit__", "__aexit__"))
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_MARKS = ("pyproject.toml", "setup.py", "setup.cfg", ".git")


def site(frame: FrameType | None = None) -> Site:
    """Return where this was called (or what a frame does), or () in a task without user code."""
    begin = frame = frame or sys._getframe(1)
    while frame is not None:  # the beginning of `here`, written out: each session asks twice
        code = frame.f_code
        kind = KINDS[code.co_filename]
        if kind == "project" and not code.co_flags & _GENERATORS and code.co_name not in _HOOKS:
            return (Place((code, frame.f_lasti)),)
        if kind:
            break
        frame = frame.f_back
    return _far_site(begin)


def _far_site(frame: FrameType) -> Site:
    place = here(frame)
    if place is None or not _is_block(place[0]):
        return () if place is None else (place,)
    return tuple(_served(frame)) or (place,)


def _served(frame: FrameType) -> Iterator[Place]:
    for served in stack(frame):
        code = served.f_code
        if kind_of(code.co_filename) == "project":
            yield Place((code, served.f_lasti))
            if not _is_block(code):
                return


def _is_block(code: CodeType) -> bool:
    """Say whether code runs at the beginning or end of somebody's ``with`` block."""
    return bool(code.co_flags & _GENERATORS) or code.co_name in _HOOKS


def in_function(place: Place) -> str:
    """Return ``path:line in function``."""
    name = place[0].co_name
    return shown(place) if name.startswith("<") else f"{shown(place)} in {name}"


def shown(place: Place) -> str:
    """Return ``path:line``, with a path that tells nothing about the machine."""
    return f"{_relative(place[0].co_filename)}:{place.line}"


def _relative(file: str) -> str:
    for folder in _INSTALLED:
        if folder in file:
            return file.rpartition(folder)[2]
    path = Path(file)
    for root in (Path.cwd(), _project(file)):
        with contextlib.suppress(ValueError):
            return str(path.relative_to(root))
    return str(Path(*path.parts[-2:]))


@lru_cache(maxsize=1024)
def _project(file: str) -> Path:
    """Return the folder of the project that a file belongs to."""
    parents = Path(file).parents
    marked = (p for p in parents if any((p / mark).exists() for mark in _MARKS))
    return next(marked, parents[0] if parents else Path())


def block_end(place: Place) -> int | None:
    """Return the last line of the ``with`` block whose head is at a line.

    Read from the indentation: `ast.parse` in the middle of another one, which a finalizer can
    bring about, makes that one fail (CPython 3.11).
    """
    lines = linecache.getlines(place[0].co_filename)
    head = _head(lines, place.line)
    if head is None:
        return None
    end, depth = head, _depth(lines[head - 1])
    for number, line in enumerate(lines[head:], head + 1):
        text = line.strip()
        if _depth(line) <= depth and text and not text.startswith((")", "#")):
            break
        if text and not text.startswith("#"):
            end = number
    return end


def _head(lines: list[str], number: int) -> int | None:
    """Return the first line of the statement at a line, if it is a ``with``."""
    if number > len(lines):
        return None
    depth = _depth(lines[number - 1]) + 1
    for candidate in range(number, 0, -1):
        line = lines[candidate - 1]
        if line.strip() and _depth(line) < depth:
            if line.strip().startswith(("with ", "async with ", "with(", "async with(")):
                heads = lines[candidate - 1 : number - 1]
                return None if any(h.rstrip().endswith(":") for h in heads) else candidate
            if candidate != number:
                return None
            depth = _depth(line)
    return None


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())
