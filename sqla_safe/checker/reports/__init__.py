"""The forms in which findings are written, one module each."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqla_safe.checker.reports._report import Report


def renderer(name: str) -> Callable[[Report], Iterable[str]]:
    """Return what turns a report into lines; only the form that is wanted is imported."""
    render: Callable[[Report], Iterable[str]] = import_module(f"{__name__}._{name}").render
    return render
