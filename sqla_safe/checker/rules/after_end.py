"""SQS001-003: an entity outlives its scope."""

from __future__ import annotations

from typing import Final

from sqla_safe.checker.rules._rule import Rule

READ_AFTER_SCOPE: Final = Rule(
    code="SQS001",
    name="read-after-scope",
    summary="an attribute is read after the scope that loaded it has ended",
    explanation="""\
When a session is closed its entities are detached: what was loaded stays readable, everything
else raises `DetachedInstanceError`. A relationship that was not loaded, a deferred column, and
every attribute that a commit or rollback has expired are among the things that raise.

Read the attribute inside the block, load it there (`.options(selectinload(User.balance))`), or
take the entity out whole with `snapshot(user, User.balance)` / `await asnapshot(user,
User.balance)`.""",
    runtime=("SQS101", "SQS103", "SQS104"),
    fixable=True,
)
READ_IN_OTHER_SCOPE: Final = Rule(
    code="SQS002",
    name="read-in-other-scope",
    summary="an attribute is read in the block of another session",
    explanation="""\
A second session does not know the entities of the first. Inside its block an entity of the
closed first session is as detached as outside of it, although it looks as if a session were at
hand.

Share one session between the services,

    async with scoped_services(Session, UserService, AvatarService) as (users, avatars): ...

or take what the second block needs out of the first as plain values or as a snapshot.""",
    runtime=("SQS101", "SQS107"),
    fixable=True,
)
PASSED_OUT: Final = Rule(
    code="SQS003",
    name="passed-out-of-scope",
    summary="an entity is passed on or returned out of the scope that loaded it",
    explanation="""\
Whoever receives the entity cannot know that its session is closed, nor which attributes were
loaded before. The code works until somebody reads one attribute more.

Return a snapshot, a DTO or plain values; or let the caller open the scope and pass the session
in.""",
    runtime=("SQS101",),
)

RULES: Final = (READ_AFTER_SCOPE, READ_IN_OTHER_SCOPE, PASSED_OUT)
