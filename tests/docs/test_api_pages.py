"""Every public name has its docstring on the site, once."""

from __future__ import annotations

import inspect
import pkgutil
from collections import Counter
from importlib import import_module
from types import ModuleType

import pytest

import sqla_safe
from sqla_safe import ext
from tests.docs.pages import ENGLISH, generated, pages

SHOWN = Counter(name for page in pages() if page.startswith(ENGLISH) for name in generated(page))
EXTENSIONS = [found.name for found in pkgutil.iter_modules(ext.__path__)]


@pytest.mark.parametrize("name", sqla_safe.__all__)
def test_a_public_name_is_shown_once(name: str) -> None:
    """On the pages below `reference/api`."""
    assert SHOWN[f"sqla_safe.{name}"] == 1


@pytest.mark.parametrize("name", [name for name in EXTENSIONS if not name.startswith("_")])
def test_the_names_of_an_integration_are_shown(name: str) -> None:
    """What its module exports by `__all__`, or defines without an underscore."""
    module = import_module(f"sqla_safe.ext.{name}")
    shown = {full.rpartition(".")[2] for full in SHOWN if full.startswith(f"{module.__name__}.")}
    assert set(_public(module)) == shown


def _public(module: ModuleType) -> list[str]:
    defined = inspect.getmembers(
        module, lambda value: getattr(value, "__module__", None) == module.__name__
    )
    return getattr(module, "__all__", [name for name, _ in defined if not name.startswith("_")])
