"""Snapshots: entities that leave their session whole, frozen and typed."""

from sqla_safe.snapshots._api import asnapshot, is_snapshot, snapshot
from sqla_safe.snapshots._codec import dumps, loads
from sqla_safe.snapshots._dicts import to_dict
from sqla_safe.snapshots._replace import replace
from sqla_safe.snapshots._write_back import write_back

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
