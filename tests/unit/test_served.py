"""The note that names an endpoint or handler after which a scope could not end."""

from __future__ import annotations

from functools import partial, wraps

import pytest

from sqla_safe.ext._served import note_served


def handler(_number: int) -> None:
    """Do nothing."""


@wraps(handler)
def decorated(number: int) -> None:
    """Do the same."""
    handler(number)


@pytest.mark.parametrize(
    "function",
    [handler, decorated, partial(partial(handler), 1)],
    ids=["plain", "decorated", "partial"],
)
def test_it_names_the_users_function(function) -> None:
    """Not what wraps it."""
    error = LookupError()
    note_served(error, function)
    [note] = error.__notes__
    assert note.startswith("sqla_safe: at the end of the scope of ")
    assert note.endswith(" in handler")


@pytest.mark.parametrize("function", [None, len, "a name"], ids=["none", "built-in", "text"])
def test_what_has_no_line_gets_no_note(function) -> None:
    """An update that no handler has taken, and what is not written in Python."""
    error = LookupError()
    note_served(error, function)
    assert not hasattr(error, "__notes__")
