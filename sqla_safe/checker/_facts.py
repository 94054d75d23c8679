"""What one file says, in a compact form that can be pickled, cached and sent between processes."""

from __future__ import annotations

import ast
import warnings
from dataclasses import dataclass

from sqla_safe.checker._lower import lower_module


@dataclass(frozen=True, slots=True)
class ModuleFacts:
    """Everything that later steps need to know about one file; holds no syntax tree."""

    path: str
    payload: bytes


def extract(path: str, source: bytes) -> ModuleFacts:
    """Read one file.

    Raises:
        SyntaxError: the file is no Python of this interpreter's version.
        ValueError: the file is no text (null bytes, a broken encoding).
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a file's literals warn of is not our business
        try:
            tree = ast.parse(source, path)
            return ModuleFacts(path, lower_module(source, tree))
        except (RecursionError, MemoryError):  # what the parser raises differs by version
            raise ValueError("nested too deeply") from None
