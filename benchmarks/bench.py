"""Run every script, print one table of all claims, and write it into the documentation.

Run ``python benchmarks/bench.py [--quick] [--rounds N] [--only SCRIPT,SCRIPT] [--write yes|no]``;
``--rounds`` is the same number for each script, instead of its own. Each runs in a process of its
own, one after the other. What they measure is kept in `results.json`, with the machine, the
versions and the date; from there it goes into the pages. A script that fails, takes too long, or
misses a server or a package costs the figures that it has not given by then, and says so; what was
measured before is kept only of scripts that were not asked for.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import machine
import msgspec
import pages
from figures import HERE, Found, Skipped
from pages import Measured, Results

ROOT = HERE.parent
SCRIPTS = ("scopes", "snapshot", "views", "guard", "growth", "checker")
MINUTES = 15
"""The longest that one script may take."""


class Options(NamedTuple):
    """What was asked for."""

    scripts: list[str]
    given: list[str]
    write: bool


def options() -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Measure everything.")
    parser.add_argument("--quick", action="store_true", help="only see that it works; not written")
    parser.add_argument("--only", default=",".join(SCRIPTS), help="scripts, with commas between")
    parser.add_argument("--write", choices=["yes", "no"], default="yes", help="into the pages")
    parser.add_argument("--rounds", type=int, help="the same for each script")
    given = parser.parse_args()
    own = ["--quick"] if given.quick else []
    own += ["--rounds", str(given.rounds)] if given.rounds else []
    return Options(given.only.split(","), own, given.write == "yes" and not given.quick)


def measured(script: str, given: list[str]) -> Measured:
    """Run a script with these options and return what it has found."""
    print(f"\n== {script}", flush=True)
    load, start = os.getloadavg()[0], perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        found = found_by(script, Path(folder) / "found.json", given)
    seconds = round(perf_counter() - start, 1)
    today = dt.datetime.now(dt.UTC).date().isoformat()
    return Measured(today, load, seconds, machine.hardware(), machine.software(), found)


def found_by(script: str, out: Path, given: list[str]) -> list[Found]:
    """Return what a script writes, and why that is not all."""
    command = [sys.executable, str(HERE / f"{script}.py"), "--json", str(out), *given]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    missed: list[Found] = []
    try:
        subprocess.run(command, check=True, cwd=ROOT, env=environment, timeout=MINUTES * 60)
    except subprocess.CalledProcessError as error:
        missed = [Skipped(f"{script}.py", f"ended with {error.returncode}")]
    except subprocess.TimeoutExpired:
        missed = [Skipped(f"{script}.py", f"not done after {MINUTES} minutes")]
    found = msgspec.json.decode(out.read_bytes(), type=list[Found]) if out.exists() else []
    return [*found, *missed]


def kept() -> Results:
    """Return what was measured before."""
    return pages.load() if pages.RESULTS.exists() else {}


def plotted(results: Results) -> None:
    """Draw the plots anew, where the library for it is installed."""
    try:
        drawings = import_module("drawings")
    except ImportError as error:
        print(Skipped("the plots", f"{error.name} is not installed"))
        return
    drawings.draw(pages.figures(results), set(results))


def main() -> None:
    """Measure, print, write."""
    own = options()
    start = perf_counter()
    new = {script: measured(script, own.given) for script in own.scripts}
    results = {name: new.get(name) or before for name, before in kept().items()} | new
    print(f"\n{pages.everything(new)}\n{pages.machine(new, 'en')}")
    for missed in pages.skipped(new):
        print(missed)
    print(f"in {perf_counter() - start:.0f} seconds")
    if own.write:
        pages.save(results)
        pages.write(results)
        plotted(results)
    sys.exit(any(one.what.endswith(".py") for one in pages.skipped(new)))


if __name__ == "__main__":
    main()
