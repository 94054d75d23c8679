"""A small project in a folder of its own, and what pytest says about it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[3]
PYTHON = os.environ.get("PLUGIN_PYTHON", sys.executable)
"""An interpreter with another pytest, to see that the plugin works there too."""
ASYNCIO = "--override-ini=asyncio_default_fixture_loop_scope=function"
"""The option that lets pytest-asyncio take part, and keeps it from warning."""
APP = """
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "note"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]


engine = create_engine("sqlite:///app.db")
Session = sessionmaker(engine)
async_engine = create_async_engine("sqlite+aiosqlite:///app.db")
AsyncSession = async_sessionmaker(async_engine)
Base.metadata.create_all(engine)
"""


@dataclass(frozen=True)
class Result:
    """How the tests of a project ended."""

    outcomes: dict[str, str]
    output: str

    def __getitem__(self, test: str) -> str:
        return self.outcomes[test]


class Project:
    """A folder with an application, and tests that pytest is run on in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("app.py", APP)
        self.write("pytest.ini", "[pytest]\nfilterwarnings = error\n")

    def write(self, name: str, text: str) -> None:
        """Write a file."""
        (self.folder / name).write_text(dedent(text))

    def run(self, tests: str, *options: str, coverage: bool = True) -> Result:
        """Write `test_it.py` and run it; the outcome of a test is its worst phase's."""
        self.write("test_it.py", tests)
        command = [PYTHON, "-m", "pytest", "-rA", "-p", "no:cacheprovider", "--color=no"]
        if ASYNCIO not in options:
            command += ["-p", "no:asyncio"]
        done = subprocess.run(
            [*command, *options],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env=self._environment(coverage=coverage),
            timeout=120,
        )
        output = done.stdout + done.stderr
        outcomes: dict[str, str] = {}
        for outcome, test in re.findall(
            r"^(PASSED|FAILED|ERROR) \S+?::(\S+)", output, re.MULTILINE
        ):
            outcomes[test] = outcome if outcome != "PASSED" else outcomes.get(test, outcome)
        return Result(outcomes, output)

    def _environment(self, *, coverage: bool) -> dict[str, str]:
        kept = {n: v for n, v in os.environ.items() if coverage or not n.startswith("COV")}
        return {**kept, "PYTHONPATH": os.pathsep.join((str(ROOT), str(self.folder)))}
