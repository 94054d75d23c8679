"""Counts calls of Python functions: a cost that is the same on every machine."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def python_calls(work: Callable[[], object]) -> list[str]:
    """Return the names of the Python functions that `work`, a function, calls.

    Garbage is not collected meanwhile: finalizers would count, and what Hypothesis does at each
    collection.
    """
    names: list[str] = []

    def note(frame, event: str, _argument: object) -> None:
        if event == "call":
            names.append(frame.f_code.co_qualname)

    collects, before = gc.isenabled(), sys.getprofile()
    gc.disable()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
        if collects:
            gc.enable()
    return names[1:]  # the first is `work`
