"""The cache gives back what was put in, or nothing; it never gets in the way."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time

import pytest

from sqla_safe.checker._cache import Cache
from tests.checker.support import write

KEYS = [bytes([number]) * 16 for number in range(3)]


@pytest.fixture
def opened():
    """Open caches, and close them after the test."""
    caches = []

    def open_one(folder):
        caches.append(Cache(folder))
        return caches[-1]

    yield open_one
    for cache in caches:
        cache.close()


@pytest.fixture
def folder(tmp_path, opened):
    """Give the folder of a cache that holds one entry."""
    cache = opened(tmp_path / "cache")
    cache.put({KEYS[0]: b"zero"})
    cache.close()
    return tmp_path / "cache"


def file_of(folder):
    """Return the one file of a cache."""
    [file] = folder.glob("*.db")
    return file


def test_what_was_put_in_comes_out(folder, opened):
    """In another run too."""
    assert opened(folder).get(KEYS) == {KEYS[0]: b"zero"}


def test_many_keys_are_asked_for_at_once(folder, opened):
    """SQLite limits how many one statement can name."""
    keys = [number.to_bytes(16, "big") for number in range(3000)]
    cache = opened(folder)
    cache.put(dict.fromkeys(keys, b"x"))
    assert len(cache.get(keys)) == 3000


def test_without_a_folder_nothing_is_kept(opened):
    """`--no-cache`."""
    cache = opened(None)
    cache.put({KEYS[0]: b"zero"})
    assert cache.get(KEYS) == {}


def test_the_folder_is_no_part_of_the_project(folder):
    """Neither git nor backups take it along."""
    assert (folder / ".gitignore").read_text() == "*\n"
    assert (
        (folder / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806")
    )


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"rubbish" * 1000,
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: data.replace(b"zero", b"nero"),
        lambda data: data[:100] + os.urandom(len(data) - 100),
    ],
    ids=["other", "half", "empty", "one letter", "noise"],
)
def test_a_damaged_cache_is_begun_anew(folder, damage, opened):
    """It answers nothing wrong, and works again in the same run or the next."""
    file = file_of(folder)
    file.write_bytes(damage(file.read_bytes()))
    cache = opened(folder)
    assert cache.get(KEYS) == {}
    cache.put({KEYS[1]: b"one"})
    cache.close()
    again = opened(folder)
    again.put({KEYS[1]: b"one"})
    assert again.get(KEYS)[KEYS[1]] == b"one"


@pytest.fixture
def home(monkeypatch, tmp_path):
    """Give this user a home without a key."""
    for name in ("HOME", "USERPROFILE", "LOCALAPPDATA", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_cache_of_somebody_else_is_not_believed(home, folder, opened, monkeypatch):
    """It may have come with the project."""
    assert opened(folder).get(KEYS) == {KEYS[0]: b"zero"}
    for name in ("HOME", "USERPROFILE", "LOCALAPPDATA", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(home / "other"))
    assert opened(folder).get(KEYS) == {}


def test_an_entry_counts_under_its_own_key_only(folder, opened):
    """Else the findings of one file could be given to another."""
    database = sqlite3.connect(file_of(folder), isolation_level=None)
    database.execute("UPDATE entries SET key = ?", (KEYS[1],))
    database.close()
    assert opened(folder).get(KEYS) == {}


def test_an_entry_that_is_no_bytes_is_nothing(folder, opened):
    """SQLite stores what it is given."""
    database = sqlite3.connect(file_of(folder), isolation_level=None)
    database.execute("UPDATE entries SET data = 'text'")
    database.close()
    assert opened(folder).get(KEYS) == {}


def test_the_key_is_this_users_alone(home, folder):
    """Who can read it can forge a cache."""
    [key] = home.rglob("key")
    assert key.stat().st_mode & 0o077 == 0 or sys.platform == "win32"
    assert len(key.read_bytes()) == 32


def test_without_a_place_for_the_key_a_cache_lasts_one_run(home, folder, opened):
    """Rather than be believed."""
    [key] = home.rglob("key")
    key.unlink()
    key.mkdir()
    cache = opened(folder)
    cache.put({KEYS[1]: b"one"})
    assert cache.get(KEYS) == {KEYS[1]: b"one"}
    assert opened(folder).get(KEYS) == {}


def test_a_file_where_the_folder_should_be_is_no_cache(tmp_path, opened):
    """Nor is it touched."""
    (tmp_path / "cache").write_text("mine")
    cache = opened(tmp_path / "cache")
    cache.put({KEYS[0]: b"zero"})
    assert cache.get(KEYS) == {}
    assert (tmp_path / "cache").read_text() == "mine"


def test_a_cache_that_cannot_be_written_is_still_read(folder, opened, monkeypatch):
    """A container may mount it read-only."""
    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3,
        "connect",
        lambda file, **options: connect(f"file:{file}?mode=ro", uri=True, **options),
    )
    cache = opened(folder)
    cache.put({KEYS[1]: b"one"})
    assert cache.get(KEYS) == {KEYS[0]: b"zero"}


def test_a_cache_that_somebody_else_is_writing_is_not_waited_for_long(folder, monkeypatch, opened):
    """The result is there all the same, it is only not kept."""
    monkeypatch.setattr("sqla_safe.checker._cache._PATIENCE", 0.05)
    other = sqlite3.connect(file_of(folder), isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    cache = opened(folder)
    cache.put({KEYS[1]: b"one"})
    assert cache.get(KEYS) == {}
    other.execute("ROLLBACK")
    other.close()
    assert cache.get(KEYS) == {KEYS[0]: b"zero"}


WRITER = """\
import sys
from pathlib import Path
from sqla_safe.checker._cache import Cache
for number in range(30):
    cache = Cache(Path(sys.argv[1]))
    key = bytes([int(sys.argv[2])]) * 8 + number.to_bytes(8, "big")
    cache.put({key: key * 100})
    assert cache.get([key]) == {key: key * 100}
    cache.close()
"""


def test_several_runs_write_at_once(tmp_path):
    """Editors, hooks and terminals do not know of each other."""
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "cache"), str(number)])
        for number in range(3)
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]


def test_what_nobody_uses_is_dropped_after_two_weeks(folder, monkeypatch, opened):
    """What is used stays."""
    cache = opened(folder)
    cache.put({KEYS[1]: b"one"})
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 10 * 24 * 3600)
    cache.put({}, used=[KEYS[1]])
    monkeypatch.setattr(time, "time", lambda: now + 20 * 24 * 3600)
    cache.put({KEYS[2]: b"two"})
    assert set(cache.get(KEYS)) == {KEYS[1], KEYS[2]}


def test_another_version_of_the_checker_has_another_file(folder, monkeypatch, opened):
    """Old answers to new questions would be wrong."""
    monkeypatch.setattr("sqla_safe.checker._cache.__version__", "9.9.9")
    assert opened(folder).get(KEYS) == {}
    assert len(list(folder.glob("*.db"))) == 2


def test_files_of_other_versions_go_after_two_weeks(folder, opened):
    """Nobody else would remove them."""
    old = folder / "0.0.1.db"
    old.write_bytes(b"")
    os.utime(old, (0, 0))
    assert opened(folder).get(KEYS) == {KEYS[0]: b"zero"}
    assert not old.exists()


OPENER = """\
from container import users


async def handler(key):
    async with users() as service:
        user = await service.get_user(key)
    return user.id
"""


def test_another_setting_is_another_analysis(here, command):
    """What was found without it is not believed any more, and is again when it has gone."""
    write(here, {"app.py": OPENER, "pyproject.toml": ""})
    clean = "All checks passed!\n"
    assert command("check", "app.py").out == clean
    with_scope = ("check", "--config", "scopes = ['users']", "app.py")
    assert "SQS001" in command(*with_scope).out
    assert command("check", "app.py").out == clean
