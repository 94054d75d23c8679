"""What earlier runs have found out, kept in a folder; a cache that cannot be used is no cache.

One SQLite file holds everything: several runs may read and write it at once, and a run that is
stopped leaves no half entry. Each entry is sealed with a key that lies outside of the project, so
that nothing is taken from a cache that somebody else has made.
"""

from __future__ import annotations

import sqlite3
import sys
import time
from contextlib import contextmanager, suppress
from hashlib import blake2b
from hmac import compare_digest
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqla_safe import __version__
from sqla_safe.checker._secret import secret

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

FOLDER: Final = ".sqla_safe_cache"
_DAY: Final = 24 * 60 * 60
_KEPT: Final = 14 * _DAY
_PATIENCE: Final = 2.0  # seconds that a run waits for another that is writing
_SEAL: Final = 16
_AT_ONCE: Final = 500
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_TOUCH: Final = "UPDATE entries SET used = ? WHERE key = ? AND used < ?"
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS entries (key BLOB PRIMARY KEY, data BLOB NOT NULL, used INTEGER)"
)


class Cache:
    """Bytes by key, kept between runs.

    Args:
        folder: where; None keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        """Open the cache, if that can be done."""
        self._file = folder / f"{_version()}.db" if folder else None
        self._key = secret() if folder else b""
        self._database: sqlite3.Connection | None = None
        if self._file:
            _mark(self._file.parent)
            _forget(self._file.parent)
            self._open(self._file)

    @property
    def is_open(self) -> bool:
        """Whether anything is kept."""
        return self._database is not None

    def get(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """Return what is known of some keys."""
        found: dict[bytes, bytes] = {}
        with self._tolerating() as database:
            if database:
                for some in _batches(list(keys)):
                    found.update(_rows(database, some))
        return {key: data for key, row in found.items() if (data := self._opened(key, row))}

    def put(self, entries: Mapping[bytes, bytes], used: Iterable[bytes] = ()) -> None:
        """Keep entries, and drop those that no run has used for two weeks.

        Args:
            entries: what is new.
            used: keys of earlier entries that this run has used.
        """
        now = int(time.time())
        rows = ((key, self._seal(key, data) + data, now) for key, data in entries.items())
        touched = ((now, key, now - _DAY) for key in used)
        with self._tolerating() as database, _transaction(database):
            if database:
                database.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", rows)
                database.executemany(_TOUCH, touched)
                database.execute("DELETE FROM entries WHERE used < ?", (now - _KEPT,))

    def _seal(self, key: bytes, data: bytes) -> bytes:
        return blake2b(key + data, digest_size=_SEAL, key=self._key).digest()

    def _opened(self, key: bytes, row: bytes) -> bytes:
        """Return the data of a row, or nothing when it is not what was stored under the key."""
        data = row[_SEAL:]
        return data if compare_digest(self._seal(key, data), row[:_SEAL]) else b""

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            self._database.close()
            self._database = None

    @contextmanager
    def _tolerating(self) -> Generator[sqlite3.Connection | None]:
        """Give the database, if there is one; what goes wrong with it costs only time."""
        try:
            yield self._database
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode in _DAMAGED:
                self._replace()

    def _open(self, file: Path) -> None:
        with self._tolerating():
            self._database = sqlite3.connect(file, timeout=_PATIENCE, isolation_level=None)
            self._database.execute("PRAGMA synchronous = OFF")  # a lost cache is made again
            self._database.execute(_SCHEMA)

    def _replace(self) -> None:
        """Begin anew after damage."""
        assert self._file is not None
        self.close()
        with suppress(OSError):
            self._file.unlink()
            self._open(self._file)


@contextmanager
def _transaction(database: sqlite3.Connection | None) -> Generator[None]:
    if database is None:
        yield
        return
    with database:
        database.execute("BEGIN IMMEDIATE")
        yield


def _rows(database: sqlite3.Connection, keys: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    marks = ",".join("?" * len(keys))
    query = f"SELECT key, data FROM entries WHERE key IN ({marks})"  # noqa: S608
    for key, data in database.execute(query, keys):
        if isinstance(data, bytes):
            yield key, data


def _batches(keys: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(keys), _AT_ONCE):
        yield keys[start : start + _AT_ONCE]


def _mark(folder: Path) -> None:
    """Make the folder, and tell git and backups to leave it alone."""
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in _MARKS.items():
            if not (folder / name).exists():
                (folder / name).write_text(text, "utf-8")


def _forget(folder: Path) -> None:
    """Drop what other versions have left and not written to for two weeks."""
    with suppress(OSError):
        for file in folder.glob("*.db"):
            if file.stat().st_mtime < time.time() - _KEPT:
                file.unlink()


_MARKS: Final = {
    ".gitignore": "*\n",
    "CACHEDIR.TAG": "Signature: 8a477f597d28d172789f06886806bc55\n",
}


def _version() -> str:
    """Name what entries depend on: this checker as it is on disk, and the Python that parses."""
    here = Path(__file__).parent
    stats = [(str(file), file.stat()) for file in sorted(here.rglob("*.py"))]
    state = repr([(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats])
    code = blake2b(state.encode(), digest_size=6).hexdigest()
    return f"{__version__}-{sys.implementation.cache_tag}-{code}"
