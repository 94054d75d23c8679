"""Code bases with sessions of both kinds: how one is used tells which it is."""

from __future__ import annotations

import pytest

from tests.checker.test_projects import ASYNC, MODELS, SYNC, found

DATABASE = """
    from typing import cast
    from elsewhere import Database

    db = cast(Database, None)
"""
BOTH = {"models": MODELS, "sync": SYNC, "asynchronous": ASYNC, "database": DATABASE}
APP = """
    from database import db
    from models import User
    from sqlalchemy import select

    async def show(user_id):
        {line}
        return user.posts
"""


@pytest.mark.parametrize(
    "line",
    [
        "user = db.session.query(User).first()",
        "user = db.session.execute(select(User)).scalar_one()",
        "db.session.commit(); user = db.session.get(User, user_id)",
        "if not (user := db.session.get(User, user_id)): return",
    ],
)
def test_a_session_that_is_not_awaited_is_synchronous(line: str) -> None:
    """It loads what is missing, also in a coroutine."""
    assert found("app", app=APP.format(line=line), **BOTH) == []


@pytest.mark.parametrize(
    "line",
    [
        "user = (await db.session.execute(select(User))).scalar_one()",
        "user = await db.session.get(User, user_id)",
        "if not (user := await db.session.get(User, user_id)): return",
        "user = db.session.get(User, user_id)",
    ],
)
def test_a_session_that_may_be_awaited_is_taken_for_asynchronous(line: str) -> None:
    """Within a coroutine."""
    errors = [(8, "error", "SQS010")]
    assert found("app", app=APP.format(line=line), **BOTH) == errors


COMMITS = """
    from database import db

    {word}def store(user):
        db.session.add(user)
        {commit}
"""


@pytest.mark.parametrize(
    ("word", "commit", "count"),
    [
        ("", "db.session.commit()", 0),
        ("async ", "await db.session.commit()", 1),
        ("", "other.session.commit()", 1),
        ("", "commit()", 1),
        ("", "make().session.commit()", 1),
    ],
)
def test_a_session_whose_commit_nobody_awaits_is_synchronous(
    word: str, commit: str, count: int
) -> None:
    """Wherever the code base commits it."""
    store = COMMITS.format(word=word, commit=commit)
    handler = APP.format(line="user = db.session.get(User, user_id)")
    assert len(found("app", app=handler, store=store, **BOTH)) == count
