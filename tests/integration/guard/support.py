"""What the tests of the guard share: marked lines, and explanations that were made."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sqla_safe import Explanation

_MARK = re.compile(r"# ([a-z]+(?:, [a-z]+)*)$")


def marked(program: Callable[..., Any]) -> dict[str, str]:
    """Return the places of the lines that end in a comment such as `# read`, by their marks."""
    lines, first = inspect.getsourcelines(program)
    file = Path(inspect.getsourcefile(program) or "").relative_to(Path.cwd())
    found: dict[str, str] = {}
    for number, line in enumerate(lines, first):
        mark = _MARK.search(line.rstrip())
        for name in mark[1].split(", ") if mark else ():
            found[name] = f"{file}:{number}"
    return found


def of(error: BaseException) -> Explanation:
    """Return the explanation that an exception holds."""
    explanation: Explanation = error.sqla_safe  # type: ignore[attr-defined]
    return explanation


def told(caplog: Any) -> list[Explanation]:
    """Return the explanations in the log."""
    records: list[logging.LogRecord] = caplog.records
    return [r.sqla_safe for r in records if r.name == "sqla_safe.guard"]  # type: ignore[attr-defined]


def holds(explanation: Explanation, program: Callable[..., Any]) -> None:
    """Check that every marked line of a program is named by the line of its kind."""
    text = str(explanation).splitlines()
    lines = {line.strip().partition(":")[0]: line for line in text[1:]}
    where = {"read": "read", "load": "loaded", "open": "scope", "close": "scope", "why": "cause"}
    for mark, place in marked(program).items():
        assert re.search(rf"{re.escape(place)}\b", lines[where[mark]]), (
            mark,
            place,
            str(explanation),
        )


def needs_two_statements_at_once(maker: Any) -> None:
    """Skip a test on PyMySQL, which runs none while the rows of another are on their way."""
    if maker.kw["bind"].dialect.name == "mysql":
        pytest.skip("PyMySQL runs one statement at a time")
