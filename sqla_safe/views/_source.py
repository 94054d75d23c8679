"""Python source that is written line by line, and compiled so that tracebacks can show it."""

from __future__ import annotations

import linecache
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakSet, finalize
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Generator


class Source:
    """Lines of code, and the objects they name."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.globals: dict[str, Any] = {}
        self._names: dict[tuple[str, int], str] = {}
        self._indent = 0

    def add(self, line: str) -> None:
        """Write a line."""
        self.lines.append("    " * self._indent + line)

    @contextmanager
    def block(self, line: str) -> Generator[None]:
        """Write a line that opens a block."""
        self.add(line)
        self._indent += 1
        yield
        self._indent -= 1

    def name(self, prefix: str, value: Any) -> str:
        """Return the name by which the code reaches an object."""
        name = self._names.get((prefix, id(value)))
        if name is None:
            name = f"{prefix}{len(self._names)}"
            self._names[prefix, id(value)] = name
            self.globals[name] = value
        return name

    def function(self, name: str, title: str) -> Any:
        """Compile the lines and return the function of that name."""
        text = "\n".join(self.lines) + "\n"
        file = f"<sqla_safe view {title} {crc32(text.encode()):08x}>"  # the same for each engine
        exec(compile(text, file, "exec"), self.globals)  # noqa: S102  (names of fields only)
        function = self.globals.pop(name)  # whose own globals these are: no cycle
        _keep(file, text, function)
        return function


_functions: dict[str, WeakSet[Any]] = {}
"""Those that are there still, by their file."""


def _keep(file: str, text: str, function: Any) -> None:
    """Let tracebacks show the lines for as long as the function is there."""
    _functions.setdefault(file, WeakSet()).add(function)
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    finalize(function, _forget, file).atexit = False


def _forget(file: str) -> None:
    if not any(True for _ in _functions.get(file, ())):
        _functions.pop(file, None)
        linecache.cache.pop(file, None)
