"""SQS060: N+1."""

from __future__ import annotations

from typing import Final

from sqla_safe.checker.rules._rule import Rule

N_PLUS_ONE: Final = Rule(
    code="SQS060",
    name="lazy-load-in-loop",
    summary="a lazy relationship is read in a loop, one SELECT for each entity",
    explanation="""\
Each round of the loop sends a SELECT of its own: a hundred users are a hundred and one
statements.

Load the relationship with the entities: `.options(selectinload(User.balance))` is one more
statement, whatever their number.""",
    runtime=("SQS109",),
    fixable=True,
)

RULES: Final = (N_PLUS_ONE,)
