"""A file is written whole, or not at all."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from sqla_safe.checker._atomic import write


def test_a_new_file_has_the_usual_permissions(tmp_path):
    """Those that the umask leaves."""
    before = os.umask(0o027)
    try:
        write(tmp_path / "x", b"new")
    finally:
        os.umask(before)
    assert (tmp_path / "x").read_bytes() == b"new"
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640


def test_a_file_that_cannot_be_replaced_is_what_it_was(tmp_path, monkeypatch):
    """And nothing is left beside it."""
    (tmp_path / "x").write_bytes(b"old")

    def refuse(self, target):
        raise PermissionError(13, "no", str(target))

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(PermissionError):
        write(tmp_path / "x", b"new")
    assert [file.name for file in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_bytes() == b"old"


def test_a_pipe_is_written_to(tmp_path):
    """`-o /dev/stdout` must not replace the device."""
    os.mkfifo(tmp_path / "pipe")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    write(tmp_path / "pipe", b"new")
    reader.join(10)
    assert read == [b"new"]
    assert (tmp_path / "pipe").is_fifo()
