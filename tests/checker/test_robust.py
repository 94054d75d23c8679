"""No file makes the checker fail: it is read, or refused with an error that says where."""

from __future__ import annotations

import pickle
import sysconfig
from pathlib import Path

import pytest

from sqla_safe.checker._facts import ModuleFacts, extract
from sqla_safe.checker._project import findings, link
from sqla_safe.checker.findings import Finding

LIBRARY = Path(sysconfig.get_path("stdlib"))


def check(*sources: str) -> list[Finding]:
    """Return the findings of files that belong together."""
    facts = [extract(f"app/file{at}.py", text.encode()) for at, text in enumerate(sources)]
    project = link(facts)
    return [each for one in facts for each in findings(project, one)]


@pytest.mark.parametrize("package", ["asyncio", "unittest", "email", "json", "concurrent"])
def test_the_standard_library_is_clean(package: str) -> None:
    """Code that uses no session gives no finding, and no error."""
    paths = sorted((LIBRARY / package).rglob("*.py"))
    facts = [extract(str(path), path.read_bytes()) for path in paths]
    project = link(facts)
    assert [each for one in facts for each in findings(project, one)] == []


def test_broken_syntax_is_a_syntax_error_with_its_line() -> None:
    """Whoever runs over many files skips this one with a message."""
    with pytest.raises(SyntaxError) as caught:
        extract("broken.py", b"x = 1\ndef (:\n")
    assert caught.value.lineno == 2


def test_null_bytes_are_refused() -> None:
    """What is no text is no program."""
    with pytest.raises((SyntaxError, ValueError)):
        extract("binary.py", b"x = 1\0")


def test_deep_nesting_is_refused_or_read() -> None:
    """An expression too deep for Python's own parser is no reason to fail."""
    assert check("x = " + "(" * 80 + "1" + ")" * 80) == []
    with pytest.raises(ValueError, match="nested too deeply"):
        check("x = " + "-" * 2_000 + "1")


def test_functions_that_call_each_other_end() -> None:
    """Recursion, direct and through others, with a session at hand."""
    source = """
async def one(session, user):
    await two(session, user)
    return await one(session, user)

async def two(session, user):
    return await one(session, user)
"""
    assert check("from sqlalchemy import select\n" + source) == []


def test_classes_and_imports_in_circles_end() -> None:
    """What Python itself would refuse later is followed once."""
    assert check("from app.file1 import *\nclass A(B): ...", "from app.file0 import *\nB = A") == []


def test_columns_count_characters() -> None:
    """Also on a line with letters that take more than one byte."""
    source = """
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
Session = async_sessionmaker(expire_on_commit=False)
class Base(DeclarativeBase): ...
class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    balance: Mapped["Balance"] = relationship()
async def handler():
    async with Session() as session:
        user = await session.get(User, 1)
        print("баланс", user.balance)
"""
    (finding,) = check(source)
    assert (finding.line, finding.column, finding.end_column) == (13, 25, 37)


def test_facts_survive_pickling() -> None:
    """Workers send them, and caches keep them."""
    facts = extract("app/models.py", b"class A: ...")
    assert pickle.loads(pickle.dumps(facts)) == facts == ModuleFacts("app/models.py", facts.payload)  # noqa: S301


def test_the_fingerprint_follows_the_files() -> None:
    """The same files have the same one in whatever order; a file more has another."""
    one, other = extract("a.py", b"x = 1"), extract("b.py", b"y = 1")
    alone = link([one]).fingerprint("a.py")
    assert link([one, other]).fingerprint("a.py") == link([other, one]).fingerprint("a.py") != alone
