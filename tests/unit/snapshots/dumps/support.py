"""What the tests of `dumps` and `loads` share."""

from __future__ import annotations

from typing import TypeVar

import pytest

from sqla_safe import dumps, loads

T = TypeVar("T")

every_format = pytest.mark.parametrize("form", ["msgpack", "json"])


def over(entity: type[T], snap: object, form: str = "msgpack") -> T:
    """Give what comes back."""
    return loads(entity, dumps(snap, format=form))
