"""How large the suite is, the number that repeats a run, and the table at its end.

Quick by default; SQLA_SAFE_SOAK=1 (`make soak`) makes every test as large as it is meant to be,
SQLA_SAFE_SOAK=10 ten times that. SQLA_SAFE_SEED=N draws everything as in the run that printed N.
"""

from __future__ import annotations

import os
import platform
import random
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Protocol

import pytest
import sqlalchemy

from tests import databases

SEED = int(os.environ.get("SQLA_SAFE_SEED", "0")) or random.randrange(1, 10**6)
FACTOR = float(os.environ.get("SQLA_SAFE_SOAK") or 0)
IS_SOAK = FACTOR > 0
VARIABLES = f"SQLA_SAFE_SEED={SEED}" + (f" SQLA_SAFE_SOAK={FACTOR:g}" if IS_SOAK else "")
DRIVERS = dict.fromkeys([*databases.ASYNC, *databases.SYNC])  # psycopg-async before psycopg
FAILED = "FAILED"
LONGEST = 3_600.0
"""Seconds that a test of a soak may take, times the factor."""


class Figures(Protocol):
    """Writes a line of the table."""

    def __call__(self, size: str, **counted: object) -> None:
        """Say how much was tried and what was counted."""


@dataclass
class Row:
    """A line of the table: a test, what it counted, and whether that is as it must be."""

    item: pytest.Item
    size: str = ""
    figures: str = ""
    verdict: str = "unfinished"
    began: float = field(default_factory=time.perf_counter)
    seconds: float = 0.0

    def cells(self) -> tuple[str, ...]:
        """Return what stands in the table."""
        name, _, bracket = self.item.name.removeprefix("test_").partition("[")
        variant = f"-{bracket.removesuffix(']')}-"
        driver = next((one for one in DRIVERS if f"-{one}-" in variant), "")
        others = variant.replace(f"-{driver}-", "-").strip("-")
        fault = ", ".join(filter(None, [name, others])).replace("_", " ")
        took = f"{self.seconds:.0f} s"
        return fault, driver, self.size, self.figures, took, self.verdict

    def replay(self) -> str:
        """Return the command that runs this test again as it ran."""
        return f"{VARIABLES} python -m pytest '{self.item.nodeid}'"


ROWS: dict[str, Row] = {}


@pytest.fixture
def seed() -> int:
    """Give the number from which a test draws everything."""
    return SEED


@pytest.fixture
def sized() -> Callable[[int, int], int]:
    """Give how many times a test does something: the first number in a quick run, else the second.

    A soak multiplies the second by its factor.
    """
    return size


def size(quick: int, soak: int) -> int:
    """Return the first number in a quick run, the second times the factor in a soak."""
    return max(quick, round(soak * FACTOR)) if IS_SOAK else quick


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """Give a function that writes what a test has counted into the table at the end."""

    def write(size: str, **counted: object) -> None:
        row = ROWS[request.node.nodeid]
        row.size = size
        row.figures = ", ".join(
            f"{name.replace('_', ' ')} {value}" for name, value in counted.items()
        )

    return write


def is_ours(item: pytest.Item) -> bool:
    """Tell whether a test stands in this folder."""
    return "faults" in item.path.parts


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of a soak their time."""
    for item in filter(is_ours, items):
        if IS_SOAK:
            item.add_marker(pytest.mark.timeout(LONGEST * max(1, FACTOR)), append=False)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Open a line of the table."""
    if is_ours(item):
        ROWS[item.nodeid] = Row(item)


@pytest.fixture
def silent_finalisers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let exceptions that are raised at any moment come in a finaliser, which only reports them."""
    monkeypatch.setattr("sys.unraisablehook", lambda _: None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Write the verdict, and below a failure how to repeat it."""
    report = yield
    row = ROWS.get(item.nodeid)
    if row is None:
        return report
    row.seconds = time.perf_counter() - row.began
    if report.failed:
        row.verdict = FAILED
        report.sections.append(("To repeat", row.replay()))
    elif report.skipped:
        del ROWS[item.nodeid]
    elif report.when == "teardown" and row.verdict != FAILED:
        row.verdict = "ok"
    if IS_SOAK and report.when == "teardown" and item.nodeid in ROWS:
        show(item.config, row)
    return report


def show(config: pytest.Config, row: Row) -> None:
    """Print a line as soon as it is whole: an hour is long, and somebody may stop the run."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.ensure_newline()
        reporter.write_line("  ".join(filter(None, row.cells())), flush=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table, and how to repeat what failed in it."""
    if not ROWS:
        return
    write = terminalreporter.write_line
    kind = f"soak, {FACTOR:g} times" if IS_SOAK else "quick"
    terminalreporter.section(f"faults, {kind}, seed {SEED}")
    write(f"Python {platform.python_version()}, SQLAlchemy {sqlalchemy.__version__}")
    table = [("fault", "driver", "size", "figures", "took", "verdict")]
    table += [row.cells() for row in ROWS.values()]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        write("  ".join(map(str.ljust, cells, widths)).rstrip())
    failed = [row for row in ROWS.values() if row.verdict == FAILED]
    write(f"{len(ROWS)} faults, {len(failed)} of them not as promised; to repeat the run:")
    write(f"  {VARIABLES} {'make soak' if IS_SOAK else 'python -m pytest tests/faults'}")
    for row in failed:
        write(f"{row.item.nodeid} failed; to repeat it:\n  {row.replay()}")
