"""Room for deep recursion: a function that reserves the interpreter's stack before it begins.

CPython keeps the frames of Python functions in chunks of 16 kilobytes, and gives a chunk back as
soon as the frame at its start returns. Code that goes up and down across such a border, as
following calls does, asks the operating system for memory each time: a fifth of the time of a
check. A frame that does not fit into half of a large chunk gets one to itself, and leaves the rest
of it to the frames above.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FunctionType

P = ParamSpec("P")
T = TypeVar("T")

_SLOTS: Final = 65_600  # of eight bytes: a little more than half a megabyte


def roomy(function: Callable[P, T]) -> Callable[P, T]:
    """Let a function reserve half a megabyte of stack for what it calls; no page is touched."""
    plain: FunctionType = function  # type: ignore[assignment]
    plain.__code__ = plain.__code__.replace(co_stacksize=_SLOTS)
    return function
