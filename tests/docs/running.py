"""Runs the Python blocks of a page in their order: one module, one event loop, real databases."""

from __future__ import annotations

import ast
import asyncio
import importlib
import inspect
import re
import sys
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine
from sybil import Sybil
from sybil.evaluators.python import pad
from sybil.parsers.markdown import CodeBlockParser

from tests.docs.pages import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sybil import Document, Example

_RAISES = re.compile(r"<!-- raises: (?P<name>\w+) -->\s*\Z")
_WHERE_ERRORS_LIVE = ("builtins", "sqla_safe", "sqlalchemy.exc", "sqlalchemy.orm.exc")


def expected_error(example: Example) -> str | None:
    """Return the name in the comment `raises: Name` just above a block."""
    found = _RAISES.search(example.document.text, 0, example.start)
    return found["name"] if found else None


def parse(page: str, evaluate: Any = None) -> Document:
    """Find the Python blocks of a page, those in comments (`invisible-code-block`) included."""
    parser = CodeBlockParser(language="python", evaluator=evaluate)
    return Sybil([parser], patterns=["*.md"], path=str(ROOT)).parse(ROOT / page)


def run(page: str) -> None:
    """Run the blocks of a page; a failure shows the page's own lines."""
    with asyncio.Runner() as runner, _module(page) as module:
        evaluator = _Evaluator(runner)
        document = parse(page, evaluator)
        document.namespace = module.__dict__
        try:
            for example in document.examples():
                example.evaluate()
        finally:
            evaluator.dispose()


class _Evaluator:
    """Runs one block, which may await at the top, and looks for the error it announces."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner
        self._engines: list[Engine | AsyncEngine] = []

    def __call__(self, example: Example) -> None:
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code = compile(
            pad(example.parsed, example.line), example.path, "exec", flags, dont_inherit=True
        )
        try:
            with _expecting(expected_error(example)):
                self._run(code, example.namespace)
        finally:
            found = [v for v in example.namespace.values() if isinstance(v, Engine | AsyncEngine)]
            self._engines += [engine for engine in found if engine not in self._engines]

    def _run(self, code: Any, namespace: dict[str, Any]) -> None:
        result = eval(code, namespace)  # noqa: S307  (our own pages)
        if inspect.iscoroutine(result):
            self._runner.run(result)

    def dispose(self) -> None:
        """Close what the blocks opened."""
        for engine in self._engines:
            if isinstance(engine, AsyncEngine):
                self._runner.run(engine.dispose())
            else:
                engine.dispose()


def _expecting(name: str | None) -> AbstractContextManager[Any]:
    if name is None:
        return nullcontext()
    kind = next(
        getattr(module, name)
        for module in map(importlib.import_module, _WHERE_ERRORS_LIVE)
        if hasattr(module, name)
    )
    return pytest.warns(kind) if issubclass(kind, Warning) else pytest.raises(kind)


@contextmanager
def _module(page: str) -> Iterator[ModuleType]:
    """Make a module for the blocks: SQLAlchemy and `inject` look names up in one."""
    module = ModuleType(re.sub(r"\W", "_", page))
    sys.modules[module.__name__] = module
    try:
        yield module
    finally:
        del sys.modules[module.__name__]
