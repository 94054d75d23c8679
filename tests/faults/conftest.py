"""How large the suite is, the number that repeats a run, and the table at its end.

Quick by default; SQLA_SAFE_SOAK=1 (`make soak`) makes every test as large as it is meant to be.
SQLA_SAFE_SEED=N draws everything as in the run that printed N.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Generator
from typing import Protocol

import pytest

SEED = int(os.environ.get("SQLA_SAFE_SEED", "0")) or random.randrange(1, 10**6)
IS_SOAK = os.environ.get("SQLA_SAFE_SOAK", "0") not in ("", "0")
ROWS: list[tuple[str, str, str]] = []


class Figures(Protocol):
    """Writes a line of the table."""

    def __call__(self, size: str, **counted: object) -> None:
        """Say how much was tried and what was counted."""


@pytest.fixture
def seed() -> int:
    """Give the number from which a test draws everything."""
    return SEED


@pytest.fixture
def sized() -> Callable[[int, int], int]:
    """Give the size of a test: the first number in a quick run, the second in a soak."""
    return lambda quick, soak: soak if IS_SOAK else quick


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """Give a function that writes what a test has counted into the table at the end."""
    began = time.perf_counter()

    def write(size: str, **counted: object) -> None:
        said = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in counted.items())
        took = time.perf_counter() - began
        name = request.node.name.removeprefix("test_").replace("_", " ")
        ROWS.append((name, size, f"{said} ({took:.0f} s)"))

    return write


@pytest.fixture
def silent_finalisers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let exceptions that are raised at any moment come in a finaliser, which only reports them."""
    monkeypatch.setattr("sys.unraisablehook", lambda _: None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Print the seed below every failure of these tests."""
    report = yield
    if report.failed and "faults" in item.path.parts:
        report.sections.append(("To repeat", f"SQLA_SAFE_SEED={SEED} pytest {item.nodeid!r}"))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    if not ROWS:
        return
    terminalreporter.section(f"faults, seed {SEED}, {'soak' if IS_SOAK else 'quick'}")
    widths = [max(len(row[column]) for row in ROWS) for column in (0, 1)]
    for name, size, said in ROWS:
        terminalreporter.write_line(f"{name:{widths[0]}}  {size:{widths[1]}}  {said}")
