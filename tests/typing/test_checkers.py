"""mypy --strict and pyright accept what is right and refuse what is wrong, line by line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
FILES = sorted(path.name for path in HERE.glob("*ed*.py") if not path.name.startswith("test_"))


def run(*command: str) -> str:
    """Run a checker with the project's own settings and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", *command, *(str(HERE / name) for name in FILES)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=300,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def findings_of_mypy() -> Iterator[tuple[str, int, str]]:
    """Yield file, line and message of each error that mypy reports."""
    for line in filter(None, run("mypy", "--strict", "--output", "json").splitlines()):
        found = json.loads(line)
        if found["severity"] == "error":
            yield Path(found["file"]).name, found["line"], found["message"]


def findings_of_pyright() -> Iterator[tuple[str, int, str]]:
    """Yield file, line and message of each error that pyright reports."""
    answer = json.loads(run("pyright", "--outputjson", "--pythonpath", sys.executable))
    assert answer["summary"]["filesAnalyzed"] == len(FILES)
    for found in answer["generalDiagnostics"]:
        if found["severity"] == "error":
            line = found["range"]["start"]["line"] + 1
            yield Path(found["file"]).name, line, found["message"]


CHECKERS = {"mypy": findings_of_mypy, "pyright": findings_of_pyright}


@pytest.fixture(scope="module", params=CHECKERS)
def findings(request: pytest.FixtureRequest) -> list[tuple[str, int, str]]:
    """Run each checker once over all files."""
    if find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return list(CHECKERS[request.param]())


def test_the_right_types_are_inferred(findings: list[tuple[str, int, str]]) -> None:
    """Every `assert_type` holds, and nothing in correct code is refused."""
    assert [found for found in findings if found[0].startswith("accepted")] == []


def test_wrong_code_is_refused_where_it_is_wrong(findings: list[tuple[str, int, str]]) -> None:
    """Every marked line is an error of the kind that its marker names, and no other line is."""
    assert [found for found in findings if found[0].startswith("refused")] == []


def test_every_marker_speaks_for_both_checkers() -> None:
    """Neither checker lets through what the other one refuses."""
    lines = [line for path in HERE.glob("refused*.py") for line in path.read_text().splitlines()]
    marked = [line for line in lines if "ignore[" in line]
    assert len(marked) > 30
    assert [line for line in marked if "# type: ignore[" not in line] == []
    assert [line for line in marked if "# pyright: ignore[" not in line] == []
