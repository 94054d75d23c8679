"""Findings that are known: a file to commit, so that only new ones count."""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import TYPE_CHECKING, Final

import msgspec

from sqla_safe.checker._atomic import write
from sqla_safe.checker._fingerprints import Identity, identity
from sqla_safe.checker._problems import UsageError
from sqla_safe.checker.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path

    from sqla_safe.checker._text import SourceText

DEFAULT: Final = "sqla-safe-baseline.json"
_VERSION: Final = 1


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    file: str
    code: str
    function: str
    text: str
    count: int = 1


class _Document(msgspec.Struct, frozen=True):
    version: int
    findings: list[_Entry]


class Baseline:
    """The findings that a file lists, by what they are known by.

    Args:
        file: where the list is; the paths in it count from its folder.
    """

    def __init__(self, file: Path, known: Counter[Identity] | None = None) -> None:
        """Take what is known."""
        self.file = file
        self._known = known or Counter[Identity]()

    @classmethod
    def read(cls, file: Path) -> Baseline:
        """Read the list.

        Raises:
            UsageError: there is none, or it is none.
        """
        try:
            document = msgspec.json.decode(file.read_bytes(), type=_Document)
        except OSError as error:
            raise UsageError(
                f"baseline {file}: {os.strerror(error.errno or 0)}; --write-baseline makes one"
            ) from error
        except (msgspec.MsgspecError, ValueError) as error:
            raise UsageError(f"baseline {file}: it is no baseline: {error}") from error
        if document.version != _VERSION:
            raise UsageError(f"baseline {file}: version {document.version} is not known")
        return cls(file, Counter({_key(each): each.count for each in document.findings}))

    def split(
        self, findings: Iterable[Finding], text: Callable[[str], SourceText]
    ) -> tuple[list[Finding], int, Counter[Identity]]:
        """Return the findings that are new, how many are known, and what is listed in vain."""
        left, new, held = self._known.copy(), list[Finding](), 0
        for finding in findings:
            key = identity(finding, text(finding.file), self._name)
            if left[key] > 0:
                left[key] -= 1
                held += 1
            else:
                new.append(finding)
        return new, held, +left

    def write(self, findings: Iterable[Finding], text: Callable[[str], SourceText]) -> int:
        """Write the list anew, and return how many findings it holds."""
        keys = Counter(identity(each, text(each.file), self._name) for each in findings)
        entries = [{**key._asdict(), "count": count} for key, count in sorted(keys.items())]
        document = {"version": _VERSION, "findings": entries}
        write(self.file, (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())
        return keys.total()

    def stale(self, left: Counter[Identity], checked: Collection[str]) -> list[Identity]:
        """Return what is listed in vain for files that were checked, or that are gone."""
        names = {self._name(file) for file in checked}
        folder = self.file.absolute().parent
        return [
            key for key in sorted(left) if key.file in names or not (folder / key.file).exists()
        ]

    def _name(self, file: str) -> str:
        relative = os.path.relpath(os.path.abspath(file), self.file.absolute().parent)
        return relative.replace(os.sep, "/")


def _key(entry: _Entry) -> Identity:
    return Identity(entry.file, entry.code, entry.function, entry.text)
