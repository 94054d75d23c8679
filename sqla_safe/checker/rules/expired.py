"""SQS020-022: attributes that the session has thrown away."""

from __future__ import annotations

from typing import Final

from sqla_safe.checker.rules._rule import Rule

AFTER_COMMIT: Final = Rule(
    code="SQS020",
    name="read-after-commit",
    summary="an attribute is read after a commit that has expired it",
    explanation="""\
With `expire_on_commit=True`, the default, a commit throws every loaded attribute away. The next
read is a SELECT: in async code `MissingGreenlet`, in sync code one statement for each entity.

Make the session with `expire_on_commit=False`, read what you need before the commit, or `await
session.refresh(user)` after it.""",
    runtime=("SQS103",),
    fixable=True,
)
AFTER_ROLLBACK: Final = Rule(
    code="SQS021",
    name="read-after-rollback",
    summary="an attribute is read after a rollback has expired it",
    explanation="""\
A rollback expires every attribute of every entity in the session, primary keys included and
also with `expire_on_commit=False`. Typical places are `except` branches that log the entity
after rolling back, and loops that go on with the next entity after a rollback.

Keep the values you need before the statement that may fail, use a savepoint (`async with
session.begin_nested():`) so that only it is rolled back, or refresh the entity.""",
    runtime=("SQS104", "SQS105"),
    fixable=True,
)
SERVER_ONUPDATE: Final = Rule(
    code="SQS022",
    name="read-server-generated",
    summary="a column that the database fills on update is read after a flush",
    explanation="""\
The value of a column with `onupdate=func.now()` or `server_onupdate` is made by the database.
After the UPDATE it is expired, also with `expire_on_commit=False`, and the next read is a
SELECT.

Set `eager_defaults=True` in `__mapper_args__`, or `await session.refresh(user,
["updated_at"])`.""",
    runtime=("SQS106",),
    fixable=True,
)

RULES: Final = (AFTER_COMMIT, AFTER_ROLLBACK, SERVER_ONUPDATE)
