"""Programs that are run before and after `--fix`: what raised works, what worked does the same."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.checker.shop import MODELS
from tests.checker.support import write

MAIN = """\
import asyncio
import sys

from app.models import Base, Order, Session, User, engine
from app.work import work


async def main():
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with Session() as session, session.begin():
        session.add(User(id=1, name="Anna", orders=[Order(id=1), Order(id=2)]))
    for key in (1, 99):
        try:
            print(await work(key))
        except Exception as error:
            print(type(error).__name__)
    await engine.dispose()


asyncio.run(main())
"""

HEAD = """\
from sqlalchemy import select

from app.models import Order, Session, User


async def work(key):
    async with Session() as session:
"""

LAZY = """\
        user = (await session.scalars(select(User).where(User.id == key))).one()
        return len(user.orders)
"""
DEFAULT = """\
        user = (await session.scalars(select(User).where(User.id == key))).one_or_none()
    return len(getattr(user, "orders", []))
"""
EXPIRED = """\
        user = await session.get(User, key)
        await session.commit()
    return f"{user.id} {user.name}"
"""
KEPT = """\
        user = await session.get(User, key)
    if user is None:
        return "nobody"
    return f"{user.id} {user.name}"
"""
TWO_BLOCKS = """\
        user = await session.get(User, key)
    async with Session() as other:
        order = await other.get(Order, user.id)
        return order.user_id
"""
MERGED = """\
        user = await session.get(User, key) or User(id=key)
    async with Session() as session:
        await session.merge(user)
        user.name = "Berta"
        await session.commit()
    async with Session() as session:
        return (await session.get(User, key)).name
"""


@pytest.fixture
def program(here):
    """Give what writes a program and runs it; its database is new each time."""

    def run() -> list[str]:
        ran = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "app.main"],
            capture_output=True,
            check=True,
            timeout=60,
            text=True,
        )
        return ran.stdout.splitlines()

    def prepare(body: str):
        write(here, {"app/models.py": MODELS, "app/work.py": HEAD + body, "app/main.py": MAIN})
        return run

    return prepare


RAISING = ("MissingGreenlet", "StatementError", "DetachedInstanceError")


@pytest.mark.parametrize(
    ("body", "after"),
    [
        (LAZY, ["2", "NoResultFound"]),
        (DEFAULT, ["2", "0"]),
        (EXPIRED, ["1 Anna", "InvalidRequestError"]),
    ],
    ids=["lazy", "default", "expired by a commit"],
)
def test_what_raised_works(program, command, body, after):
    """For what is there; what is not there still raises something."""
    run = program(body)
    assert run()[0] in RAISING
    fixed = command.check("app", "--fix")
    assert run()[0] == after[0]
    assert (fixed.code, "fixed)" in fixed.out) == (0, True)
    assert command.check("app", "--diff").out == ""


@pytest.mark.parametrize(
    ("body", "output"),
    [
        (KEPT, ["1 Anna", "nobody"]),
        (TWO_BLOCKS, ["1", "AttributeError"]),
    ],
    ids=["kept", "two blocks"],
)
def test_what_worked_does_the_same(program, command, body, output):
    """The saved value is the one that was read, and None stays None."""
    run = program(body)
    assert run() == output
    before = command.check("app", "--output-format", "concise")
    assert "[*]" in before.out
    command.check("app", "--fix")
    assert run() == output
    assert command.check("app", "--diff").out == ""


def test_a_merge_is_stored_once_its_result_is_used(program, command):
    """Before, the change went to an object that no session knew."""
    run = program(MERGED)
    assert run()[0] == "Anna"
    command.check("app", "--fix")
    assert run()[0] == "Berta"
    assert command.check("app", "--diff").out == ""
