"""SQS030-032: an entity or session is kept by something that lives longer."""

from __future__ import annotations

from typing import Final

from sqla_safe.checker.rules._rule import Rule

STORED: Final = Rule(
    code="SQS030",
    name="entity-stored",
    summary="an entity is put into a cache, FSM state, global or attribute",
    explanation="""\
What a cache holds outlives the session that loaded it. The next request finds a detached
entity, whose attributes may be expired, stale, or never loaded.

Store a snapshot (`snapshot(user)`, or `dumps(snapshot(user))` for Redis and FSM data), or the
id.""",
    runtime=("SQS101", "SQS107"),
)
CAPTURED: Final = Rule(
    code="SQS031",
    name="entity-captured",
    summary="an entity is captured by a task, thread, listener or callback",
    explanation="""\
The task, thread or callback runs when the session that loaded the entity may be closed, in use
by its owner, or, in an `after_commit` listener, unable to send any SQL.

Pass the id and load the entity again there, or pass a snapshot or the plain values.""",
    runtime=("SQS101", "SQS102", "SQS108"),
)
SESSION_ESCAPES: Final = Rule(
    code="SQS032",
    name="session-captured",
    summary="a request's session is handed to a task that outlives it",
    explanation="""\
The request ends and closes its session while the task is still using it; until then two tasks
use one session at once.

Open a session of its own inside the task.""",
    runtime=("SQS108", "SQS153"),
)

RULES: Final = (STORED, CAPTURED, SESSION_ESCAPES)
