"""What a finding proposes can be written where the finding is."""

from __future__ import annotations

from textwrap import dedent

import pytest

from sqla_safe.checker._facts import extract
from sqla_safe.checker._project import findings, link
from tests.checker.test_projects import MODELS

PROGRAM = """
    from sqlalchemy.orm import sessionmaker
    from sqlalchemy.ext.asyncio import async_sessionmaker
    from models import User

    Session = {maker}()

    {define} show(key):
        {open} Session() as session:
            user = {wait}session.get(User, key)
        print(user.name)
"""
SYNC = {"maker": "sessionmaker", "define": "def", "open": "with", "wait": ""}
ASYNC = {
    "maker": "async_sessionmaker",
    "define": "async def",
    "open": "async with",
    "wait": "await ",
}


@pytest.mark.parametrize(
    ("words", "call"),
    [(SYNC, "`snapshot(entity, User.name)`"), (ASYNC, "`await asnapshot(entity, User.name)`")],
    ids=["sync", "async"],
)
def test_what_outlives_its_block_is_taken_out_by_the_call_of_its_session(words, call):
    """`snapshot` cannot load through an async session."""
    sources = {"models": MODELS, "app": PROGRAM.format(**words)}
    modules = [extract(f"{stem}.py", dedent(text).encode()) for stem, text in sources.items()]
    [found] = findings(link(modules), modules[-1])
    assert found.code == "SQS001"
    assert call in found.hint
