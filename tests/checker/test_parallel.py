"""Several processes and the cache change how long a run takes, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sqla_safe.checker import _looking, _pipeline, _reading, _workers
from sqla_safe.checker._cache import Cache
from sqla_safe.checker._pipeline import Means, Run, Tree
from sqla_safe.checker._reading import Sources
from sqla_safe.checker.findings import Skip
from tests.checker.shop import FILES, HANDLERS, LINE
from tests.checker.support import write

COUNT = 30


@pytest.fixture
def many(here):
    """Give a folder with many files, each with one bug, and one that cannot be read."""
    write(here, {**FILES, **{f"app/h{number:02}.py": HANDLERS for number in range(COUNT)}})
    write(here, {"app/broken.py": "def f(:\n"})
    return here


@pytest.fixture
def counted(monkeypatch):
    """Count the files that are parsed."""
    parsed: list[str] = []
    extract = _reading.facts.extract

    def counting(path, source):
        parsed.append(path)
        return extract(path, source)

    monkeypatch.setattr(_reading.facts, "extract", counting)
    return parsed


def files(folder: Path) -> list[str]:
    """Return the files in the order in which a run finds them."""
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*.py"))


def outcome(folder: Path, cache: Cache | None = None, jobs: int = 1, **instead: bytes):
    """Return what a run finds."""
    tree = Tree(files(folder), (), Sources(instead), str(folder))
    return Run(tree, Means(cache or Cache(None), jobs)).outcome()


def test_processes_find_the_same(many, monkeypatch):
    """In the same order."""
    monkeypatch.setattr(_pipeline, "_FEW", 0)
    monkeypatch.setattr(_pipeline, "_READ", 1000)
    monkeypatch.setattr(_pipeline, "_LOOKED_AT", 1000)
    alone, together = outcome(many), outcome(many, jobs=3)
    assert together == alone
    assert len(alone.findings) == COUNT + 1
    assert [skip.file for skip in alone.skips] == ["app/broken.py"]


def test_a_few_files_are_read_in_this_process(many, monkeypatch):
    """Starting others would take longer."""
    monkeypatch.setattr(_workers, "ProcessPoolExecutor", None)
    assert len(outcome(many, jobs=8).findings) == COUNT + 1


def test_without_fork_only_reading_is_shared(many, monkeypatch):
    """What is linked is too much to send."""
    monkeypatch.setattr(_workers, "CAN_FORK", False)
    monkeypatch.setattr(_pipeline, "_FEW", 0)
    monkeypatch.setattr(_pipeline, "_READ", 4000)
    assert len(outcome(many, jobs=2).findings) == COUNT + 1


def test_what_has_not_changed_is_not_parsed_again(many, counted, tmp_path):
    """Not even once."""
    cache = Cache(tmp_path / "cache")
    first = outcome(many, cache)
    assert len(counted) == COUNT + 3
    counted.clear()
    assert outcome(many, cache) == first
    assert counted == []
    cache.close()


def test_one_changed_file_is_parsed_alone(many, counted, tmp_path):
    """And everything is linked anew: its models may be used by others."""
    cache = Cache(tmp_path / "cache")
    outcome(many, cache)
    counted.clear()
    write(many, {"app/h03.py": "# a line more\n" + HANDLERS})
    after = outcome(many, cache)
    assert counted == ["app/h03.py"]
    assert [each.line for each in after.findings if each.file == "app/h03.py"] == [LINE + 1]
    cache.close()


@pytest.fixture
def looked_at(monkeypatch):
    """Note the files whose findings are worked out."""
    names: list[str] = []
    findings = _looking.project.findings

    def noting(project, module):
        names.append(module.path)
        return findings(project, module)

    monkeypatch.setattr(_looking.project, "findings", noting)
    return names


EDITS = {
    "a comment": ("app/h03.py", lambda text: "# a line more\n" + text, {"app/h03.py"}),
    "a model": ("app/models.py", lambda text: text + "\n\nLIMIT = 3\n", None),
    "nothing": ("app/h03.py", lambda text: text, set()),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_is_followed_where_it_can_matter(many, looked_at, tmp_path, edit):
    """The findings of all other files come from the cache."""
    file, change, expected = EDITS[edit]
    cache = Cache(tmp_path / "cache")
    outcome(many, cache)
    looked_at.clear()
    write(many, {file: change((many / file).read_text())})
    outcome(many, cache)
    handlers = {f"app/h{number:02}.py" for number in range(COUNT)} | {"app/handlers.py"}
    if expected is None:
        assert handlers <= set(looked_at)
    else:
        assert set(looked_at) == expected
    cache.close()


APPLICATION = {
    "pyproject.toml": "",
    "app/db.py": (
        "from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine\n"
        "Session = async_sessionmaker(create_async_engine(''), expire_on_commit=True)\n"
    ),
    "app/user.py": (
        "from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship\n"
        "class Base(DeclarativeBase): ...\n"
        "class User(Base):\n"
        "    __tablename__ = 'users'\n"
        "    id: Mapped[int] = mapped_column(primary_key=True)\n"
        "    pet: Mapped['Pet'] = relationship()\n"
    ),
    "app/pet.py": "from app.user import Base\nclass Pet(Base):\n    __tablename__ = 'pets'\n",
    "app/service.py": (
        "from app.user import User\n"
        "async def load(session, key):\n"
        "    return await session.get(User, key)\n"
        "async def save(session):\n"
        "    await session.commit()\n"
    ),
    "app/handler.py": (
        "from app.db import Session\n"
        "from app.service import load, save\n"
        "async def show(key):\n"
        "    async with Session() as session:\n"
        "        user = await load(session, key)\n"
        "        await save(session)\n"
        "        name = user.id\n"
        "    return name\n"
    ),
    "app/other.py": (
        "from app.db import Session\n"
        "async def other():\n"
        "    async with Session() as session:\n"
        "        await session.commit()\n"
    ),
}
ELSEWHERE = {
    "the setting of the sessionmaker": (
        "app/db.py",
        "expire_on_commit=True",
        "expire_on_commit=False",
    ),
    "a called function": (
        "app/service.py",
        "    await session.commit()\n",
        "    await session.flush()\n",
    ),
    "what loads it": (
        "app/service.py",
        "    return await session.get(User, key)",
        "    return key",
    ),
}


@pytest.mark.parametrize("edit", ELSEWHERE)
def test_an_edit_elsewhere_is_followed(here, looked_at, tmp_path, edit):
    """The file with the finding stays as it is, and what it depends on does not."""
    file, old, new = ELSEWHERE[edit]
    write(here, APPLICATION)
    cache = Cache(tmp_path / "cache")
    before = outcome(here, cache)
    assert [(each.file, each.line, each.code) for each in before.findings] == [
        ("app/handler.py", 7, "SQS020")
    ]
    looked_at.clear()
    text = APPLICATION[file]
    assert old in text
    write(here, {file: text.replace(old, new)})
    after = outcome(here, cache)
    assert after.findings == []
    assert after == outcome(here)
    assert "app/handler.py" in looked_at
    cache.close()


def test_a_related_class_is_followed_without_an_import(here, looked_at, tmp_path):
    """A relationship names its class in quotes."""
    write(here, APPLICATION)
    cache = Cache(tmp_path / "cache")
    outcome(here, cache)
    looked_at.clear()
    write(here, {"app/pet.py": APPLICATION["app/pet.py"] + "    name = 1\n"})
    outcome(here, cache)
    assert "app/handler.py" in looked_at
    assert "app/other.py" not in looked_at
    cache.close()


def test_what_is_below_a_package_is_followed(here, looked_at, tmp_path):
    """`from app import services` reaches `services.users` by an attribute."""
    handler = APPLICATION["app/handler.py"].replace(
        "from app.service import load, save\n", "from app import services\n"
    )
    handler = handler.replace("load(", "services.users.load(").replace(
        "save(", "services.users.save("
    )
    files_ = {**APPLICATION, "app/handler.py": handler, "app/services/__init__.py": ""}
    files_["app/services/users.py"] = files_.pop("app/service.py")
    write(here, files_)
    cache = Cache(tmp_path / "cache")
    assert [each.code for each in outcome(here, cache).findings] == ["SQS020"]
    looked_at.clear()
    text = files_["app/services/users.py"].replace("commit()", "flush()")
    write(here, {"app/services/users.py": text})
    assert outcome(here, cache).findings == []
    assert "app/other.py" not in looked_at
    cache.close()


LONG = """\
from sqlalchemy.orm import Session


def long(session: Session):
{lines}

def short(session: Session, user_id: int):
    user = session.get(dict, user_id)
    return user
"""


def test_a_function_that_is_too_long_is_given_up(here, monkeypatch):
    """A file with it still ends soon, and the report says so."""
    lines = "".join(f"    a{number} = session.get(dict, {number})\n" for number in range(200))
    write(here, {"app/generated.py": LONG.format(lines=lines)})
    assert outcome(here).skips == []
    monkeypatch.setattr("sqla_safe.checker._run.MOST_OF_ALL", 500)
    [skip] = outcome(here).skips
    assert (skip.file, skip.line) == ("app/generated.py", 4)
    assert skip.reason == "too long to be followed to the end: `long`"


def test_functions_that_are_cut_short_are_counted(here, monkeypatch, tmp_path):
    """What they call is not followed after so many steps; the cache knows of it too."""
    write(here, APPLICATION)
    monkeypatch.setattr("sqla_safe.checker._run.MOST_STEPS", 5)
    cache = Cache(tmp_path / "cache")
    assert outcome(here, cache).cut_short == 1
    assert outcome(here, cache).cut_short == 1
    write(here, {"app/other.py": "other = 1\n"})
    assert outcome(here, cache).cut_short == 1
    cache.close()


def test_functions_whose_calls_are_all_followed_are_not_counted(here):
    """The budget is used up by few."""
    write(here, APPLICATION)
    assert outcome(here).cut_short == 0


def test_what_comes_after_too_much_is_given_up(here, monkeypatch):
    """A file may be long by many functions."""
    lines = "    session.commit()\n"
    more = "".join(f"\n\ndef f{number}(session: Session):\n{lines}" for number in range(9))
    write(here, {"app/generated.py": LONG.format(lines=lines) + more})
    assert outcome(here).skips == []
    monkeypatch.setattr("sqla_safe.checker._project.MOST_IN_A_FILE", 5)
    [skip] = outcome(here).skips
    assert skip.reason.endswith(": `f0`, `f1`, `f2` and 6 more")


def test_a_change_elsewhere_changes_findings(many, tmp_path):
    """A relationship that is loaded eagerly mends every handler."""
    cache = Cache(tmp_path / "cache")
    assert len(outcome(many, cache).findings) == COUNT + 1
    models = FILES["app/models.py"].replace("relationship()", 'relationship(lazy="selectin")')
    write(many, {"app/models.py": models})
    assert outcome(many, cache).findings == []
    cache.close()


def test_the_cache_knows_the_name_of_a_file(many, counted, tmp_path):
    """Two equal files are two modules."""
    cache = Cache(tmp_path / "cache")
    outcome(many, cache)
    write(many, {"app/copy.py": HANDLERS})
    found = outcome(many, cache).findings
    assert "app/copy.py" in {each.file for each in found}
    cache.close()


def test_a_file_that_is_moved_with_its_project_is_known(many, counted, tmp_path):
    """Names count from the root: the working directory does not matter."""
    cache = Cache(tmp_path / "cache")
    outcome(many, cache)
    counted.clear()
    whole = [str(many / file) for file in files(many)]
    tree = Tree(whole, (), Sources(), str(many))
    again = Run(tree, Means(cache)).outcome()
    assert counted == []
    assert {each.file for each in again.findings} <= set(whole)
    cache.close()


def test_a_rubbish_entry_is_found_out_anew(many, tmp_path, monkeypatch):
    """Whatever another program has written there."""
    cache = Cache(tmp_path / "cache")
    kept: list[bytes] = []
    put = cache.put
    monkeypatch.setattr(cache, "put", lambda new, used=(): (kept.extend(new), put(new, used)))
    first = outcome(many, cache)
    put(dict.fromkeys(kept, b"\xc1rubbish"))
    assert outcome(many, cache) == first
    cache.close()


def test_a_file_that_vanishes_is_skipped(many, monkeypatch):
    """Before it is read, or between the two times that it is."""
    tree = Tree([*files(many), "app/gone.py"], (), Sources(), str(many))
    run = Run(tree, Means(Cache(None)))
    (many / "app" / "h05.py").unlink()
    skips = run.outcome().skips
    assert Skip("app/gone.py", 1, "No such file or directory") in skips
    assert Skip("app/h05.py", 1, "No such file or directory") in skips


def test_a_file_that_was_gone_for_a_moment_is_checked_again(many, tmp_path):
    """Git switches branches while editors run the checker."""
    cache = Cache(tmp_path / "cache")
    run = Run(Tree(files(many), (), Sources(), str(many)), Means(cache))
    (many / "app" / "h05.py").unlink()
    assert len(run.outcome().findings) == COUNT
    write(many, {"app/h05.py": HANDLERS})
    assert len(outcome(many, cache).findings) == COUNT + 1
    cache.close()


def test_a_large_run_is_kept_in_parts(many, monkeypatch, tmp_path):
    """What waits for the cache is memory."""
    monkeypatch.setattr(_pipeline, "_HELD", 0)
    cache = Cache(tmp_path / "cache")
    kept: list[int] = []
    put = cache.put
    monkeypatch.setattr(cache, "put", lambda new, used=(): (kept.append(len(new)), put(new, used)))
    first = outcome(many, cache)
    assert max(kept) == 1
    assert outcome(many, cache) == first
    cache.close()


@pytest.mark.parametrize("step", ["facts.extract", "project.findings"])
def test_an_error_of_the_checker_is_a_skip(many, monkeypatch, step):
    """One file must not take the others along; the place of the error is named."""
    from sqla_safe.checker import _facts as facts
    from sqla_safe.checker import _project as project

    module, name = {"facts": facts, "project": project}[step.split(".")[0]], step.split(".")[1]
    right = getattr(module, name)

    def wrong(*arguments):
        path = arguments[0] if name == "extract" else arguments[1].path
        return right(*arguments) if "h07" not in path else {}["secret"]

    monkeypatch.setattr(module, name, wrong)
    found = outcome(many)
    assert len(found.findings) == COUNT
    [skip] = [each for each in found.skips if each.file == "app/h07.py"]
    assert skip.reason.startswith("internal error, please report it: KeyError at test_parallel.py:")
    assert "secret" not in skip.reason


@pytest.mark.parametrize("error", [RecursionError, MemoryError])
def test_what_is_too_deep_for_the_parser_is_a_skip(monkeypatch, error):
    """Generated code can be."""

    def fail(path, source):
        raise error

    monkeypatch.setattr(_reading.facts, "extract", fail)
    skip = _reading.extracted("x.py", b"").skip
    assert skip is not None
    assert skip.reason.endswith("it is nested too deeply")


def test_progress_is_told(many):
    """For each step, up to its end."""
    told: list[tuple[str, int, int]] = []
    means = Means(Cache(None), 1, lambda *step: told.append(step))
    Run(Tree(files(many), (), Sources(), str(many)), means).outcome()
    assert ("reading", COUNT + 3, COUNT + 3) in told
    assert ("checking", COUNT + 2, COUNT + 2) in told


def test_the_number_of_processors_is_that_of_this_process(monkeypatch):
    """A container may have fewer than the machine."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {1, 2, 3}, raising=False)
    assert _workers.default_jobs() == 3
    monkeypatch.delattr("os.sched_getaffinity")
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert _workers.default_jobs() == 1


def test_ctrl_c_ends_quietly(many):
    """With the exit code of an interrupted command."""
    code = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # none in the background
        "from sqla_safe.checker import _project, cli\n"
        "_project.link = lambda *_: os.kill(os.getpid(), signal.SIGINT) or 1 / 0\n"
        "sys.exit(cli.run(['check', 'app', '--no-cache']))\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, timeout=60)
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, b"", b"")


def test_the_cache_is_in_the_project(many, command):
    """Or where one says."""
    write(many, {"pyproject.toml": "[tool.sqla-safe]\n"})
    first = command("check", "app", "--output-format", "json")
    assert list((many / ".sqla_safe_cache").glob("*.db"))
    assert command("check", "app", "--output-format", "json") == first
    command("check", "app", "--cache-dir", "elsewhere")
    assert list((many / "elsewhere").glob("*.db"))
    assert len(json.loads(first.out)) == COUNT + 1
