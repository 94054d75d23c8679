"""Snapshots: entities that leave their session whole, frozen and typed.

`dumps` and `loads` are loaded on first use: their serialisation library takes longer to import than
all the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqla_safe.snapshots._api import asnapshot, is_snapshot, snapshot
from sqla_safe.snapshots._dicts import to_dict
from sqla_safe.snapshots._replace import replace
from sqla_safe.snapshots._write_back import write_back

if TYPE_CHECKING:
    from sqla_safe.snapshots._dumps import dumps
    from sqla_safe.snapshots._loads import loads

__all__ = [
    "asnapshot",
    "dumps",
    "is_snapshot",
    "loads",
    "replace",
    "snapshot",
    "to_dict",
    "write_back",
]


def __getattr__(name: str) -> Any:
    if name == "dumps":
        from sqla_safe.snapshots._dumps import dumps  # noqa: PLC0415  (see above)

        return dumps
    if name == "loads":
        from sqla_safe.snapshots._loads import loads  # noqa: PLC0415  (see above)

        return loads
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
