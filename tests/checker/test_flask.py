"""Flask-SQLAlchemy: `User.query`, `db.select`, and functions that know no other session."""

from __future__ import annotations

from textwrap import indent

import pytest

from tests.checker.test_projects import found

MODELS = """
    from flask_sqlalchemy import SQLAlchemy

    db = SQLAlchemy()

    class User(db.Model):
        id = db.Column(db.Integer, primary_key=True)
        posts = db.relationship("Post")

        @classmethod
        def of(cls, user_id):
            return cls.query.filter_by(id=user_id).one_or_none()

    class Post(db.Model):
        id = db.Column(db.Integer, primary_key=True)
        user_id = db.Column(db.Integer, db.ForeignKey("user.id"))
"""
LOOP = """
    from models import User, db

    def show():
        for user in {users}:
            print(user.posts)
"""
LATER = """
    from concurrent.futures import ThreadPoolExecutor
    from models import User, db

    executor = ThreadPoolExecutor()

    def show(user_id):
        user = {user}
        db.session.flush()

        @copy_current_request_context
        def send():
            print(user.posts)

        executor.submit(send)
"""


@pytest.mark.parametrize(
    "users",
    [
        "User.query.all()",
        "User.query.filter_by(id=1)",
        "db.session.query(User)",
        "db.session.scalars(db.select(User))",
        "db.session.execute(db.select(User)).scalars()",
    ],
)
def test_a_relationship_in_a_loop(users: str) -> None:
    """However the users are asked for."""
    assert found("app", app=LOOP.format(users=users), models=MODELS) == [(6, "info", "SQS060")]


@pytest.mark.parametrize(
    "user",
    ["User.of(user_id)", "User.query.get_or_404(user_id)", "db.session.get(User, user_id)"],
)
def test_an_entity_in_a_thread(user: str) -> None:
    """The request is over when the thread reads it."""
    files = {"app": LATER.format(user=user), "models": MODELS}
    assert found("app", **files) == [(15, "warning", "SQS031")]


def test_a_function_that_only_gets_and_closes() -> None:
    """It calls nothing that only sessions have."""
    body = "user = db.session.get(User, 1)\ndb.session.close()\nreturn user.posts\n"
    app = "from models import User, db\n\ndef show():\n" + indent(body, "    ")
    assert found("app", app=app, models=MODELS) == [(6, "error", "SQS001")]


@pytest.mark.parametrize(
    "models",
    [
        MODELS.replace("posts = ", "query = []\n        posts = "),
        MODELS.replace("(db.Model)", "(Base)").replace(
            "db = SQLAlchemy()",
            "from sqlalchemy.orm import DeclarativeBase\n\n    class Base(DeclarativeBase): ...\n",
        ),
    ],
)
def test_other_attributes_called_query(models: str) -> None:
    """One of the model's own, or of models that are none of Flask-SQLAlchemy."""
    app = LOOP.format(users="User.query.all()")
    assert found("app", app=app, models=models) == []
