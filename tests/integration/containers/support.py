"""What the tests of both containers ask for."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from tests.integration.scopes.models import Note, Notes


class Counter:
    """Needs a session, another service, and a number."""

    def __init__(self, session: AsyncSession, notes: Notes, start: int = 0) -> None:
        self.session, self.notes, self.start = session, notes, start


async def stored(sessions: Any) -> list[str]:
    """Read the texts from another session."""
    async with sessions() as session:
        return list(await session.scalars(select(Note.text).order_by(Note.id)))


def sync_stored(sessions: Any) -> list[str]:
    """Read the texts from another session."""
    with sessions() as session:
        return list(session.scalars(select(Note.text).order_by(Note.id)))


def import_without(framework: str) -> str:
    """Return what importing an integration says when its framework is not installed."""
    code = (
        f"import sys; sys.modules['{framework}'] = None\n"
        f"try: import sqla_safe.ext.{framework}\n"
        "except ImportError as error: print(error, end='')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout
