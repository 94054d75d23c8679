"""Every promise in writing leads to tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, read

PAGES = {
    "SECURITY.md": "## What we promise",
    "docs/en/explanation/guarantees.md": "## Scopes",
    "docs/ru/explanation/guarantees.md": "## Скоупы",
}
"""Where promises are made, and the heading from which on."""
TEST = re.compile(r"\[(?:`(test_\w+)`|[^\]]*)\]\(([^)#]*tests/[^)#]*)\)")
MEASURED = re.compile(r"^\| (?:fault|сбой) \|.*?^$", re.MULTILINE | re.DOTALL)
"""What a soak has counted is no promise."""


def promises(page: str) -> list[str]:
    """Return the items and table rows of a page: each is a promise, or says what is none."""
    lines = read(page).partition(PAGES[page])[2]
    for heading in ("## What cannot be promised", "## Чего обещать нельзя"):
        lines = lines.partition(heading)[0]
    lines = MEASURED.sub("", lines)
    items = re.findall(r"^(?:- .*(?:\n  .*)*|\| .*)$", lines, re.MULTILINE)
    return [item for item in items if not re.match(r"\| (?:promise|обещание) ", item)]


def linked(page: str, promise: str) -> list[tuple[str, Path]]:
    """Return the tests that a promise names, each with its file or folder."""
    here = (ROOT / page).parent
    return [(name, (here / path).resolve()) for name, path in TEST.findall(promise)]


def functions_in(path: Path) -> set[str]:
    """Return the names of the test functions in a file or folder."""
    files = path.rglob("test_*.py") if path.is_dir() else [path]
    trees = (ast.parse(file.read_text(encoding="utf-8")) for file in files)
    nodes = (node for tree in trees for node in ast.walk(tree))
    functions = (n for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    return {function.name for function in functions if function.name.startswith("test_")}


EVERY_PROMISE = [
    pytest.param(page, promise, id=f"{page}-{number}")
    for page in PAGES
    for number, promise in enumerate(promises(page), 1)
]


@pytest.mark.parametrize(("page", "promise"), EVERY_PROMISE)
def test_a_promise_has_its_tests(page: str, promise: str) -> None:
    """It links to files with tests in them, and to the tests that it names."""
    found = linked(page, promise)
    assert found, "no test"
    for name, path in found:
        assert path.exists(), path
        assert functions_in(path), f"{path} has no test"
        assert not name or name in functions_in(path), f"no {name} in {path}"


def test_there_are_promises() -> None:
    """The expressions above find them."""
    assert {page: len(promises(page)) >= 7 for page in PAGES} == dict.fromkeys(PAGES, True)
