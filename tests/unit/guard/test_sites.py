"""Lines as they are shown: paths, functions, and the ends of blocks."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from sqla_safe._locations import Place, here
from sqla_safe.guard._sites import block_end, in_function, shown, site

HERE = "tests/unit/guard/test_sites.py"


def place(file: str, line: int, name: str = "f") -> Place:
    """Make a place without running anything."""
    source = "\n" * (line - 1) + f"def {name}(): pass"
    return Place((compile(source, file, "exec").co_consts[0], 0))


def test_a_path_is_relative_to_the_working_directory():
    """As it is in tracebacks of pytest."""
    assert in_function(here()) == (
        f"{HERE}:{here().line - 1} in test_a_path_is_relative_to_the_working_directory"
    )


def test_a_path_elsewhere_is_relative_to_its_project(monkeypatch, tmp_path):
    """Where a pyproject.toml or the like is."""
    monkeypatch.chdir(tmp_path)
    assert shown(here()).startswith(f"{HERE}:")


def test_a_path_without_a_project_is_short(tmp_path):
    """No folder of the machine is shown."""
    assert shown(place("/srv/somewhere/deep/app.py", 3)) in ("app.py:3", "deep/app.py:3")


def test_a_path_of_a_library_begins_at_the_library():
    """Whatever environment it is installed in."""
    file = "/venv/lib/python3.11/site-packages/shop/models.py"
    assert shown(place(file, 3)) == "shop/models.py:3"


def test_a_line_outside_of_functions_has_no_function():
    """`<module>` and `<lambda>` say nothing."""
    assert in_function(place("/x/app.py", 3, "f")).endswith("app.py:3 in f")
    module = Place((compile("\n\nprint()", "/x/app.py", "exec"), 4))
    assert in_function(module).endswith("app.py:3")


@contextlib.contextmanager
def block(found):
    """Note the site at the beginning."""
    found.append(site())
    yield


def test_a_block_is_named_beside_the_helper():
    """Innermost first: the line in the helper, then the `with`."""
    found: list[tuple[Place, ...]] = []
    with block(found):
        pass
    [(inner, outer)] = found
    assert inner[0].co_name == "block"
    assert outer[0].co_name == "test_a_block_is_named_beside_the_helper"


SOURCES = {
    "simple": ("with a:\n    b\n    c\nd\n", 1, 3),
    "nested": ("def f():\n    with a:\n        b\n\n        # comment\n    return\n", 2, 3),
    "several lines": ("with (\n    a as x,\n    b as y,\n):\n    c\nd\n", 2, 5),
    "inner line of a call": ("with f(\n    1,\n    2,\n):\n    c\n", 3, 5),
    "asynchronous": ("async def f():\n    async with a:\n        b\n", 2, 3),
    "one line": ("with a: b\nc\n", 1, 1),
    "no block": ("x = 1\ny = 2\n", 1, None),
    "a line of a body": ("with a:\n    b\n    c\n", 2, None),
    "beyond the file": ("x\n", 9, None),
}


@pytest.mark.parametrize(("source", "line", "end"), SOURCES.values(), ids=list(SOURCES))
def test_the_end_of_a_block(tmp_path: Path, source, line, end):
    """Its last line with code."""
    file = tmp_path / "app.py"
    file.write_text(source)
    assert block_end(place(str(file), line)) == end
