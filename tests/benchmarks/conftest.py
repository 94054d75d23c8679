"""The modules of `benchmarks/`, which is a folder of scripts and no package."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks"


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Give `benchmarks/figures.py`."""
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module("figures")


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Give `benchmarks/pages.py`."""
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module("pages")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Give `benchmarks/bench.py`."""
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module("bench")
