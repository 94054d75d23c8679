"""What the sync and the async tests share: slow COMMITs, busy servers, and where the caller is."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.databases import Database


def make_commits_slow(database: Database, seconds: float) -> None:
    """Let PostgreSQL take so many seconds for the COMMIT of a transaction that wrote a note."""
    database.probe.execute(
        "CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN PERFORM pg_sleep({seconds}); RETURN NULL; END $$; "
        "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON note DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION slowly()"
    )


def is_running(database: Database, statement: str) -> bool:
    """Tell whether the server is busy with a statement that begins so."""
    if database.dialect == "postgresql":
        question = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            f"AND pid <> pg_backend_pid() AND state = 'active' AND query LIKE '{statement}%'"
        )
    else:
        question = (
            "SELECT count(*) FROM information_schema.processlist WHERE db = database() "
            f"AND id <> connection_id() AND info LIKE '{statement}%'"
        )
    return bool(database.probe.scalar(question))


def here(offset: int = 0) -> str:
    """Return `file.py:line` of the caller, or of a line so much further down."""
    frame = sys._getframe(1)
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno + offset}"
