"""Which of the application's functions the scope of a framework was for."""

from __future__ import annotations

import inspect
from typing import Any

from sqla_safe._locations import Place
from sqla_safe.ext._plain import without_partials
from sqla_safe.guard._sites import in_function


def note_served(error: BaseException, function: Any) -> None:
    """Name the function after which a scope could not end; it is in no frame of that error."""
    function = without_partials(function)
    code = getattr(function and inspect.unwrap(function), "__code__", None)
    if inspect.iscode(code):
        error.add_note(f"sqla_safe: at the end of the scope of {in_function(Place((code, 0)))}")
