"""The command, in an empty project of its own."""

from __future__ import annotations

import pytest

from tests.checker.support import Command


@pytest.fixture(autouse=True)
def own_key(tmp_path_factory, monkeypatch):
    """Seal caches with a key of the test's own: a home may be read-only."""
    folder = tmp_path_factory.mktemp("caches")
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(folder))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Give an empty folder that is the working directory, and no project around it."""
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR", "SQLA_SAFE_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def command(here, capsys):
    """Run ``sqla-safe`` in the empty folder."""
    return Command(capsys)
