"""The data itself: what it is made of, and who can read it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select

from sqla_safe import (
    SnapshotSourceError,
    dumps,
    loads,
    snapshot,
)
from tests.unit.snapshots.models.gallery import Avatar, User, many

ROOT = Path(__file__).parents[4]


def test_the_data_is_read_by_another_process(shown, tmp_path):
    """In which nobody has made a snapshot yet."""
    file = tmp_path / "shown.msgpack"
    file.write_bytes(dumps(shown))
    program = (
        "import pathlib, sys\n"
        "from sqla_safe import loads\n"
        "from tests.unit.snapshots.models.gallery import User\n"
        "shown = loads(User, pathlib.Path(sys.argv[1]).read_bytes())\n"
        "print(shown.avatars[0].user is shown, shown.greeting(), shown)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(file)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        timeout=60,
    )
    assert done.stdout == "True Hello Lisa <User snapshot id=1>\n"


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview], ids=lambda kind: kind.__name__)
def test_anything_like_bytes_can_be_loaded(shown, wrap):
    """What clients of caches give."""
    assert loads(User, wrap(dumps(shown))) == shown


def test_the_data_is_msgpack(shown):
    """Of plain lists, texts and numbers, without extension types."""

    def refuse(code, _data):
        pytest.fail(f"extension type {code}")

    assert msgspec.msgpack.decode(dumps(shown), ext_hook=refuse)


def test_the_data_is_small(store):
    """Many rows of one class share their names."""
    session = store(*many(100))
    shown = snapshot(session.scalars(select(User)).all(), User.avatars, Avatar.photos)
    assert dumps(shown).count(b"photos") == 1
    assert len(dumps(shown)) < 500 * 60  # bytes for each of 501 objects


class Code(str):
    """A text of the user's own."""

    __slots__ = ()


def test_an_unknown_format_is_refused(shown):
    """With those that there are."""
    with pytest.raises(SnapshotSourceError, match="msgpack"):
        dumps(shown, format="xml")
