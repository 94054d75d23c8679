"""What an integration says when the framework that it is for is not installed."""

from __future__ import annotations

from sqla_safe.errors import MissingExtraError


def missing(error: ModuleNotFoundError, extra: str) -> Exception:
    """Return what is to be raised when an import failed.

    That is one line naming the extra, unless it was a module of something else that is not there.
    """
    if error.name is None or error.name.partition(".")[0] != extra:
        return error
    return MissingExtraError(extra=extra)
