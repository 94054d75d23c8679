"""SQS010-012: implicit I/O in async code."""

from __future__ import annotations

from typing import Final

from sqla_safe.checker.rules._rule import Rule

LAZY_IN_ASYNC: Final = Rule(
    code="SQS010",
    name="lazy-load-in-async",
    summary="a relationship that was not loaded is read in async code",
    explanation="""\
Reading a lazy relationship sends a SELECT. Under asyncio there is nobody to await it: the read
raises `MissingGreenlet`, even while the session is open.

Load it with the entity (`.options(selectinload(User.balance))`), with `await
session.refresh(user, ["balance"])`, or read `await user.awaitable_attrs.balance`.""",
    runtime=("SQS102",),
    fixable=True,
)
GETATTR_DEFAULT: Final = Rule(
    code="SQS011",
    name="default-for-lazy-attribute",
    summary="`getattr` with a default or `hasattr` on a relationship that was not loaded",
    explanation="""\
The default of `getattr`, and `hasattr`, stand in for an `AttributeError`. A relationship that
cannot be loaded raises `DetachedInstanceError` or `MissingGreenlet`, which are none: the
default is never used. And where the relationship can be loaded, the result is an entity or
`None`, not the default.

Load the relationship with the entity and read it plainly.""",
    runtime=("SQS101", "SQS102"),
    fixable=True,
)
ASSIGN_UNLOADED: Final = Rule(
    code="SQS012",
    name="assign-unloaded-collection",
    summary="a collection that was not loaded is replaced or changed in async code",
    explanation="""\
Assigning to a relationship needs its old value, to know what to remove. When that was not
loaded, SQLAlchemy loads it: implicit I/O, which raises `MissingGreenlet` under asyncio.

Load the collection first (`selectinload`, or `await session.refresh(user, ["roles"])`), or
declare the relationship with `lazy="write_only"`.""",
    runtime=("SQS102",),
    fixable=True,
)

RULES: Final = (LAZY_IN_ASYNC, GETATTR_DEFAULT, ASSIGN_UNLOADED)
