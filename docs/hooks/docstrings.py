"""Docstrings say ``Example:`` for one example; griffe knows the plural only."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

_EXAMPLE = re.compile(r"^Example:$", re.MULTILINE)


class Examples(Extension):
    """Renames the section, so that its lines are shown as code."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        """Change the docstring of whatever was loaded."""
        del kwargs
        if obj.docstring:
            obj.docstring.value = _EXAMPLE.sub("Examples:", obj.docstring.value)
