"""The text of a source file, as its lines."""

from __future__ import annotations

import ast
import io
import tokenize
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def decoded(source: bytes) -> str:
    """Return the text, newlines as they are; what cannot be decoded becomes U+FFFD."""
    try:
        encoding = tokenize.detect_encoding(io.BytesIO(source).readline)[0]
    except SyntaxError:  # it declares one that does not exist
        encoding = "utf-8"
    return source.decode(encoding, "replace")


class SourceText:
    """What reports, suppressions and baselines need to know about one source."""

    def __init__(self, source: bytes) -> None:
        """Take the source as it is in the file."""
        self._source = source

    @cached_property
    def lines(self) -> list[str]:
        """The lines without their ends; form feeds and the like do not end one."""
        text = decoded(self._source).replace("\r\n", "\n").replace("\r", "\n")
        return text.removesuffix("\n").split("\n")

    @cached_property
    def mentions_noqa(self) -> bool:
        """Whether there can be a suppression at all: most files need not be split into tokens."""
        return b"noqa" in self._source.lower()

    def line(self, number: int) -> str:
        """Return a line by its number from 1; empty when the file has become shorter."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""

    @cached_property
    def comments(self) -> dict[int, str]:
        """The comments by their lines."""
        return {
            token.start[0]: token.string for token in self._tokens if token.type == tokenize.COMMENT
        }

    @cached_property
    def ends(self) -> dict[int, int]:
        """The last line of each statement that has several, by each line of it before the last."""
        found: dict[int, int] = {}
        first = 0
        for token in self._tokens:
            if token.type in _BETWEEN:
                continue
            if token.type == tokenize.NEWLINE:
                last = token.start[0]
                found.update(dict.fromkeys(range(first, last), last) if first else {})
                first = 0
            elif not first:
                first = token.start[0]
        return found

    @cached_property
    def _tokens(self) -> list[tokenize.TokenInfo]:
        return list(_tokens("\n".join(self.lines)))

    def function_at(self, number: int) -> str:
        """Return the qualified name of the function around a line, or an empty text."""
        inside = [name for first, last, name in self._functions if first <= number <= last]
        return inside[-1] if inside else ""

    @cached_property
    def _functions(self) -> list[tuple[int, int, str]]:
        try:
            return list(_functions(ast.parse(self._source), ""))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return []


_BETWEEN = frozenset({tokenize.NL, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT})


def _tokens(text: str) -> Iterator[tokenize.TokenInfo]:
    """Give the tokens up to the end, or up to what is none."""
    try:
        yield from tokenize.generate_tokens(io.StringIO(text).readline)
    except (tokenize.TokenError, SyntaxError):
        return


def _functions(node: ast.AST, around: str) -> Iterator[tuple[int, int, str]]:
    """Give first line, last line and name of each function and class, outer ones first."""
    for child in ast.iter_child_nodes(node):
        name = around
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{around}.{child.name}" if around else child.name
            yield child.lineno, child.end_lineno or child.lineno, name
        yield from _functions(child, name)
