"""What each fix makes of a source, and when it leaves it alone."""

from __future__ import annotations

import re
from textwrap import dedent

import pytest

from sqla_safe.checker.fixes import mended
from tests.checker.support import finding, fix

HANDLER = """\
async def show(tg_id):
    async with get_users() as users:
        user = await users.get(tg_id)
    print(user.id)
    return f"{user.id}"
"""


def keep(line: int, column: int, *, block: int = 2, attribute: str = "id"):
    """Make a finding whose fix keeps an attribute of ``user``."""
    data = {"name": "user", "attribute": attribute, "block_line": block}
    return finding(line, column, column + 7, fix=fix("keep-value", **data))


def load(line: int, column: int, option: str):
    """Make a finding whose fix adds a loader to the call at a place."""
    return finding(fix=fix("add-loader", line=line, column=column, option=option))


def merge(line: int, column: int):
    """Make a finding whose fix uses what `merge` returns."""
    data = {"line": line, "column": column, "name": "user"}
    return finding(fix=fix("use-merge-result", **data))


def refresh(line: int):
    """Make a finding whose fix loads ``user`` again after the statement in a line."""
    return finding(fix=fix("refresh", name="user", after_line=line))


def after(source: str, *findings) -> str:
    """Return a source after its fixes, and make sure that a second time changes nothing."""
    fixed = mended(source.encode(), findings)
    assert fixed.count == len(findings)
    return fixed.source.decode()


def left_alone(source: str, *findings) -> bool:
    """Return whether the findings change nothing."""
    fixed = mended(source.encode(), findings)
    return fixed.count == 0 and fixed.source == source.encode()


# --- keep-value ----------------------------------------------------------------


def test_a_value_is_kept_as_the_last_statement_of_the_block():
    """And every read that was found uses it."""
    assert (
        after(HANDLER, keep(4, 11), keep(5, 15))
        == """\
async def show(tg_id):
    async with get_users() as users:
        user = await users.get(tg_id)
        user_id = user.id
    print(user_id)
    return f"{user_id}"
"""
    )


def test_a_value_that_was_kept_before_is_used():
    """Two runs make one line."""
    once = after(HANDLER, keep(4, 11))
    assert once.count("user_id = user.id") == 1
    assert after(once, keep(6, 15)) == after(HANDLER, keep(4, 11), keep(5, 15))


def test_none_is_left_alone_where_the_code_looks_for_it_later():
    """Reading an attribute inside the block must not raise where the code went on."""
    source = HANDLER.replace("    print", "    if not user:\n        return None\n    print")
    assert after(source, keep(6, 11)).splitlines()[3] == (
        "        user_id = user.id if user is not None else None"
    )


@pytest.mark.parametrize(
    "test",
    [
        "if user is None: return",
        "if user == other: return",
        "x = 1 if user else 2",
        "assert user",
        "x = user and 1",
        "x = 1 or user",
        "while user: break",
    ],
)
def test_every_test_of_the_name_counts(test):
    """However it is written."""
    source = HANDLER.replace("    print", f"    {test}\n    print")
    assert "is not None else None" in after(source, keep(5, 11))


def test_a_test_inside_of_the_block_changes_nothing():
    """After it the entity is there."""
    source = HANDLER.replace("    print", "        if user is None: return\n    print")
    assert "        user_id = user.id\n" in after(source, keep(5, 11))


def test_comments_stay_where_they_are():
    """And blank lines."""
    source = HANDLER.replace("    print", "        # loaded\n\n    # shown\n    print")
    assert after(source, keep(7, 11)).splitlines()[2:7] == [
        "        user = await users.get(tg_id)",
        "        user_id = user.id",
        "        # loaded",
        "",
        "    # shown",
    ]


def test_a_read_in_a_nested_function_uses_the_value_too():
    """It sees the name."""
    source = HANDLER.replace("print(user.id)", "later = lambda: user.id")
    assert "later = lambda: user_id" in after(source, keep(4, 21))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("user = await users.get(tg_id)", "return await users.get(tg_id)"),
        ("async def show(tg_id):", "async def show(tg_id, user_id):"),
        ("print(user.id)", "user.id = 3 "),
        ("print(user.id)", "def f(user_id): return user.id"),
        ("        user = await users.get(tg_id)\n", "        user = 1; raise E\n"),
        ("users:\n        user = await users.get(tg_id)", "users: user = await users.get(tg_id)\n"),
        ("async def show(tg_id):", "async def show(tg_id):\n    global user"),
        ("    print", "        await users.session.commit()\n    print"),
        ("print(user.id)", "print(user.xx)"),
    ],
    ids=[
        "not reached",
        "the name is a parameter",
        "a write",
        "the name is bound at the read",
        "raises at its end",
        "one line",
        "a global",
        "a commit expires it",
        "another attribute",
    ],
)
def test_a_value_is_not_kept_where_that_changes_the_program(old, new):
    """The finding stays, for a human."""
    source = HANDLER.replace(old, new)
    line = next(n for n, text in enumerate(source.splitlines(), 1) if n > 2 and "user." in text)
    column = source.splitlines()[line - 1].index("user.") + 1
    block = source[: source.index("async with")].count("\n") + 1
    assert left_alone(source, keep(line, column, block=block))


def test_a_value_is_not_kept_under_a_name_of_python():
    """`user.id` of a name such as `hash` would hide a function."""
    source = "with a:\n    frozen = b\nprint(frozen.set)\n".replace("frozen", "is").replace(
        "is", "call"
    )
    assert "call_set" in after(
        source,
        finding(3, 7, 15, fix=fix("keep-value", name="call", attribute="set", block_line=1)),
    )


def test_a_value_is_not_kept_in_the_body_of_a_class():
    """It would become an attribute."""
    source = "class A:\n    with a:\n        user = b\n    print(user.id)\n"
    assert left_alone(source, keep(4, 11))


def test_a_block_that_is_not_there_is_left_alone():
    """The file may have changed."""
    assert left_alone(HANDLER, keep(4, 11, block=1))
    assert left_alone(HANDLER, keep(2, 1))


# --- add-loader ----------------------------------------------------------------

SELECT = """\
from sqlalchemy import select

query = select(User).where(User.id == 1)
"""


def test_a_loader_is_added_to_the_select_and_imported():
    """After the other imports."""
    assert (
        after(SELECT, load(3, 9, "selectinload(User.balance)"))
        == """\
from sqlalchemy import select
from sqlalchemy.orm import selectinload

query = select(User).options(selectinload(User.balance)).where(User.id == 1)
"""
    )


def test_two_loaders_are_two_arguments():
    """In the order of the findings."""
    fixed = after(SELECT, load(3, 9, "selectinload(User.a)"), load(3, 9, "joinedload(User.b)"))
    assert "select(User).options(selectinload(User.a), joinedload(User.b)).where" in fixed
    assert "from sqlalchemy.orm import joinedload, selectinload\n" in fixed


def test_a_path_imports_every_loader_in_it():
    """`selectinload(User.a).joinedload(A.b)` needs one name only."""
    fixed = after(SELECT, load(3, 9, "selectinload(User.a).joinedload(A.b)"))
    assert "from sqlalchemy.orm import selectinload\n" in fixed


@pytest.mark.parametrize(
    "options",
    [
        "(joinedload(User.x))",
        "(\n        joinedload(User.x),\n    )",
        "(joinedload(User.x),)",
        "()",
    ],
)
def test_a_loader_joins_options_that_are_there(options):
    """Rather than to begin another list."""
    source = SELECT.replace(".where", f".options{options}.where")
    fixed = after(source, load(3, 9, "selectinload(User.balance)"))
    assert fixed.count(".options(") == 1
    assert "selectinload(User.balance)" in fixed


@pytest.mark.parametrize(
    ("before", "behind"),
    [
        ("from sqlalchemy.orm import Session", "Session, selectinload"),
        ("from sqlalchemy.orm import Session, with_parent", "Session, selectinload, with_parent"),
        ("from sqlalchemy.orm import with_parent, Session", "with_parent, Session, selectinload"),
        (
            "from sqlalchemy.orm import (\n    a,\n    z,\n)",
            "(\n    a,\n    selectinload,\n    z,\n)",
        ),
        ("from sqlalchemy.orm import (\n    a,\n)", "(\n    a,\n    selectinload,\n)"),
        ("from sqlalchemy.orm import selectinload", "selectinload"),
    ],
    ids=["end", "sorted", "unsorted", "lines", "one line of several", "there"],
)
def test_an_import_joins_the_one_that_is_there(before, behind):
    """Written as its neighbours are."""
    fixed = after(f"{before}\n{SELECT}", load(before.count("\n") + 4, 9, "selectinload(User.b)"))
    assert fixed.startswith(f"from sqlalchemy.orm import {behind}\n")
    assert fixed.count("sqlalchemy.orm") == 1


@pytest.mark.parametrize(
    "other",
    [
        "from sqlalchemy.orm import *\n",
        "def f():\n    from sqlalchemy.orm import selectinload\n",
        "if TYPE_CHECKING:\n    from sqlalchemy.orm import selectinload\n",
        "from .orm import selectinload as s\n",
        "from . import selectinload as s\n",
        "from sqlalchemy.orm import selectinload as s\n",
    ],
    ids=["star", "in a function", "for type checkers", "relative", "package", "another name"],
)
def test_an_import_that_is_not_seen_everywhere_does_not_count(other):
    """The name must be there at the call."""
    line = other.count("\n") + 3
    fixed = after(other + SELECT, load(line, 9, "selectinload(User.b)"))
    assert re.search(r"^from sqlalchemy.orm import selectinload\b(?! as)", fixed, re.MULTILINE)


def test_an_import_follows_the_docstring_and_future():
    """Nothing may stand before them."""
    source = '"""Text."""\n\nfrom __future__ import annotations\n\nquery = select(User)\n'
    assert after(source, load(5, 9, "selectinload(User.b)")).splitlines()[:4] == [
        '"""Text."""',
        "",
        "from __future__ import annotations",
        "from sqlalchemy.orm import selectinload",
    ]


def test_an_import_stands_beside_those_of_its_package():
    """Where an import sorter would put it."""
    source = SELECT.replace("\nquery", "\nfrom app import User\n\nquery")
    assert after(source, load(5, 9, "selectinload(User.b)")).splitlines()[:4] == [
        "from sqlalchemy import select",
        "from sqlalchemy.orm import selectinload",
        "",
        "from app import User",
    ]


def test_an_import_can_be_the_first_line():
    """Of a script."""
    fixed = after("query = select(User)\n", load(1, 9, "selectinload(User.b)"))
    assert fixed.startswith("from sqlalchemy.orm import selectinload\nquery")


def test_a_loader_that_is_there_is_not_added_again():
    """Whatever its spaces are."""
    source = SELECT.replace(".where", ".where(1).options(selectinload( User.balance )).where")
    assert left_alone(source, load(3, 9, "selectinload(User.balance)"))


def test_a_place_without_a_call_is_left_alone():
    """The file may have changed."""
    assert left_alone(SELECT, load(3, 1, "selectinload(User.balance)"))


# --- use-merge-result ------------------------------------------------------------


def test_what_merge_returns_is_used():
    """Awaited or not, with others on the line."""
    source = "def f(session, user):\n    session.merge(user); x = 1\n    return user.x\n"
    assert "    user = session.merge(user); x = 1\n" in after(source, merge(2, 5))
    awaited = "async def f(session, user):\n    await session.merge(user)  # why\n"
    assert "    user = await session.merge(user)  # why\n" in after(awaited, merge(2, 11))


@pytest.mark.parametrize(
    "source",
    [
        "def f(session):\n    session.merge(user)\n    return user.x\n",
        "def f(session, user):\n    g(session.merge(user))\n",
        "def o(user):\n  def f(s):\n    s.merge(user)\n  return f\n",
        "def f(session):\n    global user\n    session.merge(user)\n",
    ],
    ids=["a global", "not ignored", "of the function around", "declared global"],
)
def test_a_name_of_somebody_else_is_not_bound(source):
    """It would become a local name, and its reads before would fail."""
    line = next(n for n, text in enumerate(source.splitlines(), 1) if ".merge" in text)
    column = len(source.splitlines()[line - 1]) - len(source.splitlines()[line - 1].lstrip()) + 1
    column = source.splitlines()[line - 1].index("s", column - 1) + 1
    assert left_alone(source, merge(line, column))


# --- refresh ---------------------------------------------------------------------

COMMITTED = """\
async def rename(session, user):
    await session.commit()  # done
    # when
    return user.x
"""


@pytest.mark.parametrize("expires", ["commit", "rollback"])
def test_an_entity_is_refreshed_after_what_has_expired_it(expires):
    """There the session is still open; comments stay where they are."""
    source = COMMITTED.replace("commit", expires)
    fixed = after(source, refresh(2), refresh(2))
    assert fixed.splitlines()[1:] == [
        f"    await session.{expires}()  # done",
        "    await session.refresh(user)",
        "    # when",
        "    return user.x",
    ]
    assert left_alone(fixed, refresh(2))


def test_a_session_is_refreshed_through_whatever_it_is_called():
    """And without await in sync code."""
    source = "with x as self.db:\n    self.db.commit()\nprint(user.x)\n"
    fixed = after(source, refresh(2))
    assert fixed == source.replace(".commit()\n", ".commit()\n    self.db.refresh(user)\n")


def test_none_is_not_refreshed_where_the_code_looks_for_it_later():
    """A session refuses it."""
    source = "def f():\n\tif a:\n\t\ts.commit()\n\tif not user:\n\t\treturn\n\tprint(user.x)\n"
    fixed = after(source, refresh(3))
    assert fixed.splitlines()[2:5] == [
        "\t\ts.commit()",
        "\t\tif user is not None:",
        "\t\t\ts.refresh(user)",
    ]
    assert left_alone(fixed, refresh(3))


@pytest.mark.parametrize(
    "statement",
    [
        "await save(session)",
        "x = 1; await session.commit()",
        "if a: await session.commit()",
        "x = session.commit()",
    ],
    ids=["by a callee", "two in a line", "a block", "an assignment"],
)
def test_an_entity_is_not_refreshed_where_that_is_not_plain(statement):
    """The finding stays, for a human."""
    assert left_alone(COMMITTED.replace("await session.commit()", statement), refresh(2))


def test_a_commit_that_is_not_there_is_left_alone():
    """The file may have changed."""
    assert left_alone(COMMITTED, refresh(1), refresh(3), refresh(4))


# --- whole files -------------------------------------------------------------------


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"], ids=["unix", "windows", "old mac"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1251"])
def test_encoding_and_newlines_stay(newline, encoding):
    """Only the lines that are mended differ."""
    if (newline, encoding) == ("\r", "cp1251"):
        pytest.skip("Python itself finds no declaration of an encoding there")
    first = "# -*- coding: cp1251 -*-" if encoding == "cp1251" else "# Привет"
    source = f"{first}\n{HANDLER}x = 'Привет'".replace("\n", newline).encode(encoding)
    fixed = mended(source, [keep(5, 11, block=3)])
    assert fixed.count == 1
    lines = fixed.source.decode(encoding).split(newline)
    assert lines == [
        *source.decode(encoding).split(newline)[:4],
        "        user_id = user.id",
        "    print(user_id)",
        *source.decode(encoding).split(newline)[5:],
    ]


def test_tabs_stay_tabs():
    """New statements are indented as their neighbours."""
    fixed = after(HANDLER.replace("    ", "\t"), keep(4, 8))
    assert "\n\t\tuser_id = user.id\n" in fixed


def test_a_source_that_libcst_cannot_give_back_is_left_alone():
    """A form feed would be lost."""
    assert left_alone("\x0c" + HANDLER, keep(4, 11))


def test_a_source_that_is_no_python_is_left_alone():
    """It may have changed since it was checked."""
    assert left_alone("def f(:\n", keep(4, 11))


def test_a_result_that_is_no_python_is_thrown_away():
    """Whatever the finding asks for."""
    assert left_alone("x = select(User)\n", load(1, 5, "selectinload(await User)"))


def test_a_finding_without_a_fix_changes_nothing():
    """Most of them."""
    assert left_alone(HANDLER, finding())


def test_all_kinds_can_be_mended_at_once():
    """In one statement too."""
    source = dedent("""\
        async def f(session, user):
            async with open_session() as other:
                user = await other.get(1)
            await session.merge(user)
            rows = await session.scalars(q(User).where(user.id))
            await session.commit()
        """)
    fixed = after(
        source,
        merge(4, 11),
        load(5, 34, "selectinload(User.x)"),
        keep(5, 48),
        refresh(6),
    )
    assert fixed.splitlines()[3:] == [
        "        user = await other.get(1)",
        "        user_id = user.id",
        "    user = await session.merge(user)",
        "    rows = await session.scalars(q(User).options(selectinload(User.x)).where(user_id))",
        "    await session.commit()",
        "    await session.refresh(user)",
    ]


# --- what only looks as if it could be mended ------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "    for user in users: print(user.id)",
        "    print([user.id for user in users])",
        "    user = users[0]; print(user.id)",
    ],
)
def test_a_value_is_not_kept_where_the_name_gets_its_meaning_later(line):
    """At the end of the block the name is not bound yet, or stands for something else."""
    source = f"def f():\n    with a() as s:\n        users = s.all()\n{line}\n"
    assert left_alone(source, keep(4, line.index("user.id") + 1))


def test_a_value_is_not_kept_where_a_comprehension_has_the_name_for_itself():
    """The `user` of the block and that of the comprehension are two."""
    source = (
        "def f():\n    with a() as s:\n        users = s.all()\n        user = users[0]\n"
        "    print([user.id for user in users])\n"
    )
    assert left_alone(source, keep(5, 12))


def test_a_name_that_is_bound_again_after_the_read_is_kept_all_the_same():
    """What comes after the read does not matter to it."""
    block = "def f():\n    with a() as s:\n        user = s.one()\n"
    source = f"{block}    print(user.id)\n    user = None\n"
    assert "        user_id = user.id\n" in after(source, keep(4, 11))


def test_an_undeferred_column_gets_its_import():
    """`undefer` is the loader of a column."""
    mended_source = after("stmt = select(User)\n", load(1, 8, "undefer(User.bio)"))
    assert "from sqlalchemy.orm import undefer\n" in mended_source


def test_a_name_that_is_bound_after_the_commit_is_not_refreshed():
    """The `user` of a loop after the commit is not there yet when the commit is made."""
    source = (
        "def f(s):\n    users = s.all()\n    s.commit()\n    for user in users:\n"
        "        print(user.name)\n"
    )
    found = finding(5, 15, 24, fix=fix("refresh", name="user", after_line=3))
    assert left_alone(source, found)
