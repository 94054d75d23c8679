"""From files to facts: everything that can go wrong with a file becomes a skip."""

from __future__ import annotations

import os
import re
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from sqla_safe.checker import _facts as facts
from sqla_safe.checker._record import Read, digest, encode
from sqla_safe.checker.findings import Skip

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_LOADING: Final = re.compile(rb"load\w*\(((?:[^()]|\([^()]*\)){1,500})\)")
_NAMED: Final = re.compile(rb"""[.'"]([A-Za-z_]\w*)""")
PYTHON: Final = f"Python {sys.version_info.major}.{sys.version_info.minor}"


class Sources:
    """The contents of files, some of which are not those on disk.

    Args:
        instead: contents by path, for standard input and for fixes that are only shown.
    """

    def __init__(self, instead: Mapping[str, bytes] | None = None) -> None:
        """Take the contents that replace files."""
        self.instead = dict(instead or {})

    def read(self, path: str) -> bytes:
        """Return the content of a file.

        Raises:
            OSError: it cannot be read.
        """
        held = self.instead.get(path)
        if held is not None:
            return held
        with open(path, "rb") as file:
            return file.read()

    def of(self, paths: Iterable[str]) -> Sources:
        """Return the sources that a worker needs for some files."""
        return Sources({path: self.instead[path] for path in paths if path in self.instead})


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker reads at once."""

    paths: Mapping[str, str]
    """Where files are, by their names in the project."""
    sources: Sources

    def __call__(self) -> list[tuple[bytes, bytes]]:
        """Return the key and the encoded `Read` of each file."""
        return [self._read(name, path) for name, path in self.paths.items()]

    def _read(self, name: str, path: str) -> tuple[bytes, bytes]:
        try:
            source = self.sources.read(path)
        except OSError as error:
            return b"", encode(Read(0, b"", unreadable(name, error)))
        return key_of(name, source), encode(extracted(name, source))


def name_of(path: str, root: str) -> str:
    """Return the name of a file in its project: imports are resolved by it, wherever one is."""
    full = os.path.abspath(path)
    return full[len(root) + 1 :] if full.startswith(root + os.sep) else full


def key_of(name: str, source: bytes) -> bytes:
    """Return the key of a file: its facts depend on its name and content."""
    return digest(os.fsencode(name), source)


def extracted(path: str, source: bytes) -> Read:
    """Return the facts of a source, or why there are none."""
    lines = source.count(b"\n") + (not source.endswith(b"\n"))
    try:
        return Read(lines, encode(facts.extract(path, source)))
    except SyntaxError as error:
        found = _skipped(path, error.lineno, f"{PYTHON} cannot parse it: {error.msg}")
        return replace(found, loaded=_loaded_in(source))
    except ValueError as error:
        return _skipped(path, None, f"{PYTHON} cannot read it: {error}")
    except (RecursionError, MemoryError):
        return _skipped(path, None, f"{PYTHON} cannot parse it: it is nested too deeply")
    except Exception as error:  # noqa: BLE001 - one file must not take the others along
        return _skipped(path, None, internal(error))


def _loaded_in(source: bytes) -> tuple[str, ...]:
    """Return the attributes that a text gives to what is called like a loader option."""
    given = b" ".join(_LOADING.findall(source))
    return tuple(sorted({f"*.{name.decode()}" for name in _NAMED.findall(given)}))


def internal(error: Exception) -> str:
    """Say where the checker itself has failed."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(frame.filename).name}:{frame.lineno}"
    return f"internal error, please report it: {type(error).__name__} at {place}"


def unreadable(path: str, error: OSError) -> Skip:
    """Say why a file could not be read."""
    return Skip(path, 1, os.strerror(error.errno or 0))


def _skipped(path: str, line: int | None, reason: str) -> Read:
    return Read(0, b"", Skip(path, line or 1, reason))
