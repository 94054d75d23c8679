"""Snapshots: entities that leave their session whole, frozen and typed."""

from sqla_safe.snapshots._api import asnapshot, is_snapshot, snapshot

__all__ = ["asnapshot", "is_snapshot", "snapshot"]
