"""How fast `sqla-safe check` is, and how much memory it takes.

Run ``python benchmarks/checker.py [--rounds N] [--lines N]``. Two trees are checked, each as often
as there are rounds, by processes of their own: the Python files installed beside this interpreter,
and an application made of as many copies of a small service as are needed. Printed are medians:
lines a second cold in one process, cold with one process for each processor, and warm; those of a
processor's second, which a busy machine does not change; and the peak memory of all processes
together.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from figures import Figure, from_ratios, parser, run

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    Runs = list[tuple[float, float, int]]

MEGABYTE = 1024  # kilobytes
INSTALLED = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
"""The environment: what is installed has been compiled once, and not again for each run."""

MODELS = '''\
"""Models of part {n}."""

from sqlalchemy import ForeignKey
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """The base."""


class User{n}(Base):
    """A user."""

    __tablename__ = "users_{n}"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    balance: Mapped["Balance{n}"] = relationship()


class Balance{n}(Base):
    """A balance."""

    __tablename__ = "balances_{n}"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users_{n}.id"))
    amount: Mapped[int]


Session = async_sessionmaker(create_async_engine("sqlite+aiosqlite://"))
'''

HEAD = '''\
"""Handlers of part {n}."""

from sqlalchemy import select

from part{n}.models import Session, User{n}
'''

SERVICE = '''

class Service{n}x{m}:
    """Reads and writes users."""

    def __init__(self, session):
        """Take a session."""
        self.session = session

    async def get(self, key):
        """Return a user."""
        query = select(User{n}).where(User{n}.id == key)
        if key is None:
            raise ValueError(key)
        return (await self.session.scalars(query)).one_or_none()

    async def rename(self, key, name):
        """Rename a user."""
        user = await self.get(key)
        if user is None:
            return None
        user.name = name
        await self.session.flush()
        return user


async def show{m}(message, key):
    """Answer with what is known of a user."""
    async with Session() as session:
        service = Service{n}x{m}(session)
        user = await service.get(key)
        if user is None:
            await message.answer("unknown")
            return
        text = f"{{user.id}}: {{user.name}}"
        for number in range(3):
            text += str(number)
        await message.answer(text)
'''

BUG = '''

async def broken{m}(message, key):
    """Read what was not loaded."""
    async with Session() as session:
        user = await Service{n}x{m}(session).get(key)
        await message.answer(str(user.balance))
'''


def application(folder: Path, lines: int) -> None:
    """Write an application with about as many lines."""
    written = 0
    for number in range(10**6):
        if written >= lines:
            return
        part = folder / f"part{number}"
        part.mkdir()
        (part / "__init__.py").write_text("")
        (part / "models.py").write_text(MODELS.format(n=number))
        head = HEAD.format(n=number)
        body = "".join(SERVICE.format(n=number, m=each) for each in range(10))
        text = head + body + BUG.format(n=number, m=0)
        (part / "handlers.py").write_text(text)
        written += text.count("\n") + MODELS.count("\n")


def installed(folder: Path, lines: int) -> None:
    """Copy installed files up to a number of lines."""
    source = Path(sysconfig.get_path("purelib"))
    for file in sorted(source.rglob("*.py")):
        if lines <= 0:
            return
        content = file.read_bytes()
        lines -= content.count(b"\n")
        target = folder / file.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def count(folder: Path) -> int:
    """Return the lines of a tree."""
    return sum(file.read_bytes().count(b"\n") for file in folder.rglob("*.py"))


@dataclass
class Peak:
    """The most memory that a process and its children have had at once, in kilobytes."""

    pid: int
    most: int = 0
    done: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        """Look every few milliseconds."""
        while not self.done.wait(0.03):
            self.most = max(self.most, sum(map(proportional, family(self.pid))))


def family(pid: int) -> list[int]:
    """Return a process and its children."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return [pid]
    return [pid, *map(int, children)]


def proportional(pid: int) -> int:
    """Return the memory of a process, its part of what it shares included."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def checked(tree: Path, *options: str) -> tuple[float, float, int]:
    """Check a tree, and return seconds, seconds of processor time, and the peak of memory."""
    command = [sys.executable, "-m", "sqla_safe", "check", str(tree), "-q", "--exit-zero"]
    start = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--no-respect-gitignore", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=INSTALLED,
    )
    peak = Peak(process.pid)
    watcher = threading.Thread(target=peak.watch)
    watcher.start()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    peak.done.set()
    watcher.join()
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, process.returncode
    return seconds, usage.ru_utime + usage.ru_stime, peak.most


def runs_of(tree: Path, cache: Path, rounds: int) -> dict[str, Runs]:
    """Check a tree in every way, as often as there are rounds."""
    ways: dict[str, Runs] = {"one": [], "cold": [], "warm": [], "changed": []}
    changed = next(iter(sorted(tree.rglob("*.py"), key=lambda file: file.stat().st_size)[-50:]))
    checked(changed, "--no-cache")  # compiles what is not compiled yet
    for _ in range(rounds):
        ways["one"].append(checked(tree, "--no-cache", "-j1"))
        shutil.rmtree(cache, ignore_errors=True)
        ways["cold"].append(checked(tree, "--cache-dir", str(cache)))
        ways["warm"].append(checked(tree, "--cache-dir", str(cache)))
        changed.write_text(changed.read_text("utf-8", "replace") + "\n", "utf-8")
        ways["changed"].append(checked(tree, "--cache-dir", str(cache)))
    return ways


def figures_of(name: str, lines: int, ways: dict[str, Runs]) -> Iterator[Figure]:
    """Give lines a second of each way, and of the processor, and the memory."""
    for way, runs in ways.items():
        yield from_ratios(f"checker.{way}.{name}", [lines / clock for clock, _, _ in runs])
    used = [lines / processor for _, processor, _ in ways["one"]]
    yield from_ratios(f"checker.processor.{name}", used)
    peaks = [peak / MEGABYTE for _, _, peak in ways["cold"]]
    yield from_ratios(f"checker-memory.peak.{name}", peaks)


def measure(options: Namespace) -> Iterator[Figure]:
    """Measure both trees."""
    wanted = 5_000 if options.quick else options.lines
    with tempfile.TemporaryDirectory() as temporary:
        for name, make in (("installed", installed), ("application", application)):
            tree = Path(temporary, name)
            tree.mkdir()
            make(tree, wanted)
            lines = count(tree)
            ways = runs_of(tree, Path(temporary, "cache"), options.rounds)
            yield from figures_of(name, lines, ways)


if __name__ == "__main__":
    options = parser(__doc__, rounds=3)
    options.add_argument("--lines", type=int, default=200_000, help="of each tree")
    run(options, measure)
