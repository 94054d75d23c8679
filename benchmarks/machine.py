"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import sqlite3
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    *("SQLAlchemy", "aiosqlite", "psycopg", "asyncpg"),
    *("msgspec", "pydantic", "pydantic-resolve", "sqlmodel"),
)
GIBIBYTE = 1024**3


def hardware() -> dict[str, str]:
    """Return the processor, its cores and the memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIBIBYTE
    return {
        "processor": processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.0f} GiB",
    }


def processor() -> str:
    """Return the name of the processor, as far as the system knows it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def software() -> dict[str, str]:
    """Return the versions of the system, Python and the packages that count."""
    system = platform.system()
    with suppress(OSError):
        system = platform.freedesktop_os_release()["PRETTY_NAME"]
    return {
        "system": f"{system}, {platform.machine()}",
        platform.python_implementation(): platform.python_version(),
        **packages(),
        "SQLite": sqlite3.sqlite_version,
    }


def packages() -> dict[str, str]:
    """Return the versions of the packages that are installed."""
    found = {}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
