"""`[*]`: what is marked is what `--fix` mends, and nothing else."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from sqla_safe.checker import fixes
from sqla_safe.checker._facts import extract
from sqla_safe.checker._project import findings, link
from sqla_safe.checker.findings import Finding
from sqla_safe.checker.rules import RULES
from tests.checker.support import finding, fix, write

SAMPLES = Path(__file__).parent / "samples"
WORLD = extract("tests/checker/samples/world.py", (SAMPLES / "world.py").read_bytes())


def found(path: str, source: bytes) -> list[Finding]:
    """Return the findings of a sample."""
    facts = extract(path, source)
    return findings(link([WORLD, facts]), facts)


def promises(path: str, source: bytes) -> list[Finding]:
    """Return those that are promised to be mended."""
    wanted = [each for each in found(path, source) if each.fix is not None]
    kept = fixes.promised(source, wanted)
    return [each for each, is_kept in zip(wanted, kept, strict=True) if is_kept]


@pytest.mark.parametrize("code", RULES)
def test_what_is_promised_is_mended(code):
    """Each finding alone: the file changes, and the rule finds less of that level in it."""
    path = f"tests/checker/samples/{code.lower()}.py"
    source = (SAMPLES / f"{code.lower()}.py").read_bytes()
    before = Counter((each.code, each.severity) for each in found(path, source))
    for one in promises(path, source):
        mended = fixes.mended(source, [one])
        assert mended.count == 1, one
        after = Counter((each.code, each.severity) for each in found(path, mended.source))
        key = one.code, one.severity
        assert after[key] < before[key], one


def test_the_samples_promise_something_of_each_kind():
    """Else the test above would pass without a single repair."""
    paths = [(f"tests/checker/samples/{path.name}", path) for path in SAMPLES.glob("sqs*.py")]
    kinds = {
        each.fix.kind
        for name, path in paths
        for each in promises(name, path.read_bytes())
        if each.fix
    }
    assert kinds == {"keep-value", "add-loader", "use-merge-result", "refresh"}


BLOCK = """\
class Handlers:
    @staticmethod
    async def show(sessions, key):
        async with sessions() as session:
            user = await session.get(User, key)
        return user.id
"""
KEEP = fix("keep-value", name="user", attribute="id", block_line=4)


def promised(source: str, **changes) -> list[bool]:
    """Return whether the repair of the read in BLOCK is promised, and whether it is made."""
    one = finding(6, 16, 23, code="SQS001", fix=KEEP, **changes)
    content = source.encode()
    return [*fixes.promised(content, [one]), fixes.mended(content, [one]).count == 1]


def test_a_promise_is_made_for_a_method():
    """Which is looked at without its class."""
    assert promised(BLOCK) == [True, True]


@pytest.mark.parametrize(
    "source",
    [
        BLOCK.replace("        return user.id", "        user_id = 1\n        return user.id"),
        BLOCK.replace("get(User, key)", "commit()"),
        BLOCK + "\n  ",
        BLOCK.replace("class", "\f\nclass"),
        BLOCK.replace("return user.id", "return (user.id"),
        BLOCK.replace("sessions() as", "\u0432(\x00) as"),
    ],
    ids=["name taken", "expired", "odd last line", "form feed", "no Python", "null"],
)
def test_nothing_is_promised_that_would_not_be_done(source):
    """Whatever stands in the way, in the function or elsewhere in the file."""
    assert promised(source)[0] is promised(source)[1] is False


def test_a_block_at_module_level_is_looked_at_with_the_file():
    """There is no function to cut out."""
    source = "with sessions() as session:\n    user = session.get(User, 1)\nprint(user.id)\n"
    one = finding(
        3, 7, 14, fix=fix("keep-value", name="user", attribute="id", block_line=1), code="SQS001"
    )
    assert fixes.promised(source.encode(), [one]) == [True]


SHOP = """\
from sqlalchemy import select
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Session = async_sessionmaker(expire_on_commit=False)


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)


async def kept(key):
    async with Session() as session:
        user = await session.get(User, key)
    return user.id


async def leaves(key):
    async with Session() as session:
        user = await session.get(User, key)
        if user is None:
            return None
        await session.commit()
    return user.id
"""


def test_only_what_is_mended_is_marked(here, command):
    """In the lines, in the statistics and in the summary; `--fix` mends as many."""
    write(here, {"app.py": SHOP})
    shown = command.check("--output-format", "concise", "app.py").out
    assert shown.count("[*]") == 2
    assert "[*] 1 fixable with the `--fix` option." in shown
    assert "SQS001  [*]" in command.check("--statistics", "app.py").out
    assert "(1 fixed)" in command.check("--fix", "app.py").out
    assert "[*]" not in command.check("app.py").out


def test_a_promise_is_remembered(here, command, monkeypatch):
    """The second run needs no syntax tree."""
    write(here, {"app.py": SHOP})
    first = command("check", "app.py").out
    monkeypatch.setattr(fixes, "promised", None)
    assert command("check", "app.py").out == first


def test_nothing_is_marked_without_libcst(here, command, monkeypatch):
    """`--fix` would only say that it needs it."""
    write(here, {"app.py": SHOP})
    monkeypatch.setattr(fixes, "is_possible", lambda: False)
    assert "[*]" not in command.check("app.py").out
