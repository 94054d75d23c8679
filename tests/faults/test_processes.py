"""Processes that are ended from outside in the midst of their transactions.

A child process (`program.py`) writes in scopes until a signal comes, at a moment drawn from the
seed. Afterwards a connection from outside compares what is stored with what the child was told.
"""

from __future__ import annotations

import os
import random
import re
import select
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import fresh_database
from tests.databases import Database
from tests.faults.conftest import IS_SOAK, SEED
from tests.faults.program import WORKERS

ROOT = Path(__file__).resolve().parents[2]
ASYNC = ("asyncpg", "psycopg-async", "aiosqlite")
SYNC = ("psycopg", "sqlite3")
PATIENCE = 60
"""Seconds after which a process that should end is said to hang."""
COMPLAINTS = re.compile(
    r".*(?:never retrieved|never awaited|was destroyed|garbage collector|Exception ignored|"
    r"Exception in|Exception terminating|Warning|failed too|SQS\d).*"
)
ASYNCPG_ON_CANCEL = re.compile(
    r"Future exception was never retrieved\nfuture: .*unexpected connection_lost\(\) call.*\n"
)
"""What asyncpg leaves whenever a query is cancelled, with or without us."""


@dataclass(frozen=True)
class Case:
    """How a process runs its scopes, what ends it, and what may be asked of its end.

    Attributes:
        way: one of the program's ways.
        presses: how often the signal comes.
        code: the exit code; None where the driver or Python may crash.
        is_tidy: whether every operation has the time to say what became of it, and stderr is clean.
    """

    way: str
    signal: signal.Signals
    code: int | None
    drivers: tuple[str, ...] = ASYNC
    presses: int = 1
    is_tidy: bool = True

    @property
    def is_sure(self) -> bool:
        """Whether the signal cannot get lost in a finaliser or in a driver's C code."""
        return self.code is not None and self.way != "sync"


INT, TERM, KILL = signal.SIGINT, signal.SIGTERM, signal.SIGKILL
CASES = {
    "Ctrl-C in asyncio.run": Case("run", INT, -INT),
    "Ctrl-C in asyncio.Runner": Case("runner", INT, -INT),
    "Ctrl-C in anyio.run": Case("anyio", INT, -INT),
    "SIGTERM with a handler": Case("handler", TERM, 0),
    "a loop that is stopped": Case("stopping", TERM, 0),
    "SIGTERM": Case("run", TERM, -TERM, is_tidy=False),
    "SIGKILL": Case("run", KILL, -KILL, is_tidy=False),
    "a loop that is closed": Case("closing", TERM, 0, is_tidy=False),
    "Ctrl-C twice": Case("run", INT, None, presses=2, is_tidy=False),
    "Ctrl-C in a loop run by hand": Case("hand", INT, None, is_tidy=False),
    "Ctrl-C in sync code": Case("sync", INT, -INT, SYNC, is_tidy=False),
    "SIGKILL in sync code": Case("sync", KILL, -KILL, SYNC, is_tidy=False),
}


class Launcher:
    """A process that has imported the program, and has a child for each run of it."""

    def __init__(self) -> None:
        command = [sys.executable, "-W", "always", "-m", "tests.faults.program", "--fork"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe)

    def launch(self, folder: Path, *arguments: str) -> int:
        """Run the program with its output in a folder; return the child's number."""
        self._process.stdin.write(" ".join([str(folder), *arguments, "\n"]).encode())
        self._process.stdin.flush()
        pid = self.answer(PATIENCE)
        assert pid is not None, "no child"
        return pid

    def answer(self, seconds: float) -> int | None:
        """Return the number that is said next, or None when none is said in time."""
        stdout = self._process.stdout
        return int(stdout.readline()) if select.select([stdout], [], [], seconds)[0] else None

    def close(self) -> None:
        """End the launcher; no child is running any more."""
        self._process.communicate()


class Child:
    """A running program, and what it has said so far."""

    def __init__(self, launcher: Launcher, folder: Path, *arguments: str) -> None:
        self._launcher = launcher
        self._out, self._errors = folder / "out", folder / "errors"
        self._out.write_text("")
        self._errors.write_text("")
        self._pid = launcher.launch(folder, *arguments)
        self.code: int | None = None

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless the end was noticed already."""
        if self.code is None:
            os.kill(self._pid, number)

    def wait(self, seconds: float) -> int | None:
        """Wait for the end; return the exit code if it came."""
        if self.code is None:
            self.code = self._launcher.answer(seconds)
        return self.code

    def said(self) -> dict[str, set[int]]:
        """Return the operations that were said to have begun, to be committed, ..."""
        found: dict[str, set[int]] = defaultdict(set)
        for line in self._out.read_text().splitlines():
            what, op = line.split()
            found[what].add(int(op))
        return found

    def errors(self) -> str:
        """Return what is on stderr, without what asyncpg says of every cancelled query."""
        return ASYNCPG_ON_CANCEL.sub("", self._errors.read_text())

    def until_committed(self, count: int) -> float:
        """Wait until so many operations are committed; return the time by the monotonic clock."""
        due = time.monotonic() + PATIENCE
        while len(self.said()["committed"]) < count:
            assert self.wait(0) is None, self.errors()
            assert time.monotonic() < due, "it does not come to work"
            time.sleep(0.001)
        return time.monotonic()

    def strike(self, case: Case, chance: random.Random) -> None:
        """Send the signal at some moment within the usual time of an operation."""
        first = self.until_committed(chance.randint(1, 5))
        usual = (self.until_committed(10) - first) / 5 * WORKERS
        for _ in range(case.presses):
            time.sleep(chance.random() * usual)
            self.send(case.signal)

    def end(self, case: Case) -> int | None:
        """Wait for the end; where a signal may be swallowed on its way, send it again."""
        if case.is_sure:
            return self.wait(PATIENCE)
        for _ in range(5):
            if self.wait(2) is not None:
                break
            self.send(case.signal)
        return self.code


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    """Give a launcher, made once because importing takes the time of ten runs."""
    made = Launcher()
    yield made
    made.close()


@contextmanager
def child(
    launcher: Launcher, database: Database, case: Case, folder: Path, *options: str
) -> Iterator[Child]:
    """Run the program on an empty table; it is gone at the end, whatever happens."""
    database.probe.execute("DROP TABLE IF EXISTS part")
    database.probe.execute("CREATE TABLE part (op integer NOT NULL, n integer NOT NULL)")
    running = Child(launcher, folder, database.url, case.way, *options)
    try:
        yield running
    finally:
        kill(running)


def kill(running: Child) -> None:
    """End a child that has not ended, and know that it has."""
    running.send(signal.SIGKILL)
    assert running.wait(PATIENCE) is not None


def wrong_after(database: Database, running: Child, case: Case) -> dict[str, Any]:
    """Compare the table with what was said; return what is wrong."""
    rows = dict(database.probe.rows("SELECT op, count(*) FROM part GROUP BY op"))
    said = running.said()
    wrong = {
        "half stored": {op for op, parts in rows.items() if parts != 2},
        "acknowledged, not stored": said["committed"] - set(rows),
        "refused, stored": said["rolled_back"] & set(rows),
        "never begun": set(rows) - said["began"],
        "in a transaction": set(range(database.probe.idle_in_transaction())),
    }
    if case.is_tidy:
        wrong["not said to be stored"] = set(rows) - said["committed"]
        wrong["without an outcome"] = said["began"] - said["committed"] - said["rolled_back"]
        wrong["complaints"] = COMPLAINTS.findall(running.errors())
    return {what: found for what, found in wrong.items() if found}


def until_nobody_is_connected(database: Database) -> None:
    """Wait until the server has noticed that its clients are gone."""
    due = time.monotonic() + PATIENCE
    while database.dialect != "sqlite" and database.probe.connections():
        assert time.monotonic() < due, "a backend outlives its process"
        time.sleep(0.005)


def drawn(name: str) -> list[tuple[str, int]]:
    """Return the drivers and seeds of a case: in a quick run one that the seed draws."""
    drivers = CASES[name].drivers
    if IS_SOAK:
        return [(driver, SEED + n) for n in range(40) for driver in drivers]
    turn = (SEED + list(CASES).index(name)) % len(drivers)
    return [(drivers[turn], SEED)]


@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("name", CASES)
def test_ended_from_outside(name, launcher, request, tmp_path, figures):
    """What a process was told before its end is true, and no transaction outlives it."""
    case, wrong = CASES[name], []
    for driver, seed in drawn(name):
        with (
            fresh_database(driver, request) as database,
            child(launcher, database, case, tmp_path) as run,
        ):
            run.strike(case, random.Random(f"{seed} {name}"))
            code = run.end(case)
            kill(run)
            until_nobody_is_connected(database)
            found = wrong_after(database, run, case)
            if case.code not in (None, code):
                found["exit code"] = code
            if found:
                wrong.append((driver, seed, found, run.errors()))
    figures(f"{len(drawn(name))} processes", wrong=len(wrong))
    assert wrong == []


@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.is_sure])
def test_exit_codes_of_bare_sqlalchemy(name, launcher, request, tmp_path):
    """A program with scopes ends with the exit code that it has without them."""
    case = CASES[name]
    with (
        fresh_database(case.drivers[0], request) as database,
        child(launcher, database, case, tmp_path, "--bare") as run,
    ):
        run.strike(case, random.Random(SEED))
        assert run.end(case) == case.code
