"""Every benchmark still runs, and measures what the documentation claims."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

pytestmark = pytest.mark.timeout(600)  # processes of their own, which a busy machine makes wait

ROOT = Path(__file__).parents[2]
CLAIMS = tomllib.loads((ROOT / "benchmarks" / "claims.toml").read_text(encoding="utf-8"))
SCRIPTS = sorted({section["script"].removesuffix(".py") for section in CLAIMS.values()})
OPTIONS = {"scopes": ["--block", "2"], "views": ["--only", "sqlite"]}
LEFT_OUT = {
    "snapshot": r"\.1000(-off)?$",
    "views": r"\.1000\.|\.(aiosqlite|psycopg|asyncpg)\.",
    "growth": (
        r"\.asyncpg|^growth-memory.*\.(?!1000$)\d+$|^growth-services.*\.[1-9]$"
        r"|^growth-(rows|scopes|p99).*\.(?!1$)\d+$"
    ),
}
"""What the quick form of a script has no figures of: large sizes, and other databases."""
COMPETITORS = ("resolve", "sqlmodel")


def run(script: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script in its quick form."""
    return subprocess.run(
        [sys.executable, ROOT / "benchmarks" / f"{script}.py", "--quick", *options],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_script_is_tested(bench: ModuleType) -> None:
    """Those that `make bench` runs are those that the claims name."""
    assert sorted(bench.SCRIPTS) == SCRIPTS


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_measures_what_is_claimed(
    script: str, figures: ModuleType, tmp_path: Path
) -> None:
    """A figure for each claim that its quick form reaches, and a ratio that can be one."""
    out = tmp_path / "found.json"
    ended = run(script, *OPTIONS.get(script, []), "--json", str(out))
    assert ended.returncode == 0, ended.stderr
    found = msgspec.json.decode(out.read_bytes(), type=list[figures.Found])
    medians = {one.key: one.median for one in found if isinstance(one, figures.Figure)}
    skipped = any(isinstance(one, figures.Skipped) for one in found)
    assert wanted(script, figures, competitors=not skipped) <= medians.keys()
    assert all(median > 0 for median in medians.values())
    assert all(key in ended.stdout for key in medians)


def wanted(script: str, figures: ModuleType, *, competitors: bool) -> set[str]:
    """Return the keys that a quick form gives."""
    own = {
        f"{name}.{claim}"
        for name, section in figures.sections().items()
        if section.script == f"{script}.py"
        for claim in section.single()
    }
    if script in LEFT_OUT:
        own = {key for key in own if not re.search(LEFT_OUT[script], key)}
    return {key for key in own if competitors or key.rpartition(".")[2] not in COMPETITORS}


def test_a_missing_server_is_named(tmp_path: Path) -> None:
    """Without PostgreSQL its drivers are left out, in a line that says so."""
    nowhere = {"SQLA_SAFE_TEST_POSTGRES": str(tmp_path)}
    ended = run("views", "--only", "psycopg,asyncpg", **nowhere)
    assert ended.returncode == 0, ended.stderr
    assert "skipped: psycopg, asyncpg: PostgreSQL did not start" in ended.stdout


def test_a_missing_competitor_is_named(tmp_path: Path) -> None:
    """Without a library to compare with, it is left out, in a line that says so."""
    (tmp_path / "pydantic_resolve.py").write_text(
        "raise ModuleNotFoundError(name='pydantic_resolve')"
    )
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    ended = run("views", "--only", "sqlite", "--gc", "on", PYTHONPATH=path)
    assert ended.returncode == 0, ended.stderr
    assert "pydantic-resolve and SQLModel: " in ended.stdout
    assert "views.sqlite.100.P " in ended.stdout
    assert ".resolve" not in ended.stdout


def test_a_script_that_fails_is_named(bench: ModuleType, figures: ModuleType) -> None:
    """It costs its own figures only."""
    measured = bench.measured("no_such_script", ["--quick"])
    assert measured.found == [figures.Skipped("no_such_script.py", "ended with 2")]
