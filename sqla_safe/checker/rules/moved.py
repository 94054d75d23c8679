"""SQS050-052: entities between sessions, and sessions between functions."""

from __future__ import annotations

from typing import Final

from sqla_safe.checker.rules._rule import Rule

MERGE_IGNORED: Final = Rule(
    code="SQS050",
    name="merge-result-ignored",
    summary="the result of `merge()` is ignored",
    explanation="""\
`merge()` does not attach the object it is given: it returns another one that is attached.
Whoever goes on with the argument reads and changes a detached object.

Write `user = await session.merge(user)`.""",
    runtime=("SQS101",),
    fixable=True,
)
TWO_SESSIONS: Final = Rule(
    code="SQS051",
    name="entity-of-other-session",
    summary="an entity of one session is given to another, or loaded through a lost session",
    explanation="""\
An entity belongs to one session at a time: adding it to a second raises "already attached to
session". A session that was made on the spot (`Session().get(User, 1)`) is closed when it is
collected, and its entities are detached at a moment that nobody has chosen.

Keep to one session, or `merge` the entity into the second and use what `merge` returns.""",
    runtime=("SQS107", "SQS101"),
)
BORROWED_CLOSED: Final = Rule(
    code="SQS052",
    name="borrowed-session-closed",
    summary="a session that was passed in is closed",
    explanation="""\
Whoever opened the session goes on using it and its entities after the call; `async with
session:` or `session.close()` on a parameter detaches all of them and ends the caller's
transaction.

Leave closing to the one who opened it.""",
    runtime=("SQS101", "SQS108"),
)

RULES: Final = (MERGE_IGNORED, TWO_SESSIONS, BORROWED_CLOSED)
