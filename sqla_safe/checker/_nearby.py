"""The files of a project that a named file imports: they are read, and not reported on."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_MOST: Final = 5_000
_IMPORT: Final = re.compile(
    rb"^[ \t]*(?:from[ \t]+(\.*[\w.]*)[ \t]+import[ \t]+(?:\(([^)]*)\)|([^\n]*))"
    rb"|import[ \t]+([^\n]*))",
    re.MULTILINE,
)
_NAME: Final = re.compile(rb"[A-Za-z_][\w.]*")


def imported(
    files: Iterable[str], root: str, read: Callable[[str], bytes], *, wanted: Callable[[str], bool]
) -> list[str]:
    """Return the files below a folder that some files import, and what those import in turn."""
    todo = list(files)
    seen = {os.path.abspath(file) for file in todo}
    found: list[str] = []
    while todo and len(found) < _MOST:
        file = todo.pop()
        for path in _imports(file, root, read):
            if os.path.abspath(path) not in seen:
                seen.add(os.path.abspath(path))
                if wanted(path):
                    found.append(path)
                    todo.append(path)
    return sorted(found)


def _imports(file: str, root: str, read: Callable[[str], bytes]) -> Iterator[str]:
    try:
        source = read(file)
    except OSError:
        return
    folder = os.path.realpath(os.path.dirname(file) or os.curdir)
    for stem, names in _named(source):
        dots = len(stem) - len(stem.lstrip("."))
        parts = [part for part in stem.split(".") if part]
        for start in _starts(folder, root, dots):
            place = os.path.join(start, *parts)
            paths = [path for name in ("", *names) for path in _at(place, name)]
            yield from map(os.path.relpath, paths)
            if paths:
                break


def _named(source: bytes) -> Iterator[tuple[str, list[str]]]:
    """Yield what code imports from where, as a look at its lines tells."""
    for match in _IMPORT.finditer(source):
        stem, several, line, whole = match.groups()
        if whole is not None:
            yield from ((name.decode(), list[str]()) for name in _NAME.findall(whole))
        elif stem:
            names = _NAME.findall(several if several is not None else line.partition(b"#")[0])
            yield stem.decode(), [name.decode() for name in names if name != b"as"]


def _starts(folder: str, root: str, dots: int) -> Iterator[str]:
    """Yield the folders that a name may count from: one of the package's, or those around."""
    if dots:
        yield os.path.normpath(os.path.join(folder, *[os.pardir] * (dots - 1)))
        return
    while os.path.commonpath((folder, root)) == root:
        yield folder
        yield os.path.join(folder, "src")
        if folder == root:
            return
        folder = os.path.dirname(folder)


def _at(place: str, name: str) -> Iterator[str]:
    """Yield the file of a module, or of a package, if there is one."""
    stem = os.path.join(place, name) if name else place
    for path in (f"{stem}.py", os.path.join(stem, "__init__.py")):
        if os.path.isfile(path):
            yield path
