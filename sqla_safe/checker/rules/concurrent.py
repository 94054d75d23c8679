"""SQS040: one session, several tasks."""

from __future__ import annotations

from typing import Final

from sqla_safe.checker.rules._rule import Rule

SHARED: Final = Rule(
    code="SQS040",
    name="session-shared-by-tasks",
    summary="one session is used in several branches of `gather` or a `TaskGroup`",
    explanation="""\
A session has one connection and one state: two statements at once raise "concurrent operations
are not permitted", or mix up each other's results and transactions.

Await the branches one after the other, or open a session in each.""",
    runtime=("SQS153",),
)

RULES: Final = (SHARED,)
