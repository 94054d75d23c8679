"""The key with which this user's caches are sealed.

A cache lies in the project, and a project may come from anybody: what its files say is trusted
only when it was this user who wrote it. The key lies where the system keeps a user's caches.
"""

from __future__ import annotations

import os
import secrets
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

_SIZE: Final = 32


def secret() -> bytes:
    """Return the key, made anew when there is none; one for this run alone if it cannot be kept."""
    with suppress(OSError, RuntimeError):
        file = _folder() / "key"
        for _ in range(2):
            with suppress(FileNotFoundError):
                key = file.read_bytes()
                if len(key) == _SIZE:
                    return key
            _write(file)
    return secrets.token_bytes(_SIZE)


def _write(file: Path) -> None:
    """Write a key that nobody else can read, and that another run sees whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    made = file.with_name(f"{file.name}.{os.getpid()}")
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, secrets.token_bytes(_SIZE))
    finally:
        os.close(descriptor)
    made.replace(file)


def _folder() -> Path:
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "sqla_safe"
