"""Looking at rows, and changing them, behind the snapshot's back."""

from __future__ import annotations

from sqlalchemy.orm import Session

from sqla_safe import (
    snapshot,
)
from tests.unit.snapshots.models.versions import Page


def row(session, entity, key=1):
    """Read a row as it is stored."""
    with Session(session.get_bind()) as reader:
        return snapshot(reader.get_one(entity, key))


def overtake(session, **columns):
    """Change the page behind the snapshot's back, as another process would."""
    with Session(session.get_bind()) as other, other.begin():
        live = other.get_one(Page, 1)
        for name, value in columns.items():
            setattr(live, name, value)
