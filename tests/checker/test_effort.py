"""What a check does not do, or not twice: counted, since seconds depend on the machine."""

from __future__ import annotations

import gc
import sys
from textwrap import indent

import pytest

from sqla_safe.checker import _mend, _project, cli, fixes
from sqla_safe.checker._cache import Cache
from sqla_safe.checker._pipeline import Means, Run, Tree
from sqla_safe.checker._relevance import Relevance
from sqla_safe.checker._values import State
from tests.checker.shop import FILES
from tests.checker.support import write

SERVICE = """\
class Users:
    def __init__(self, session):
        self.session = session

    async def load(self):
        return await self.session.execute("...")
"""


@pytest.fixture
def shop(here):
    """Give a folder with a small application."""
    write(here, FILES)
    return here


def run_over(folder, cache, progress=lambda *_: None):
    """Check a folder in this process."""
    names = sorted(str(file.relative_to(folder)) for file in folder.rglob("*.py"))
    return Run(Tree(names, root=str(folder)), Means(cache, progress=progress)).outcome()


# --- garbage --------------------------------------------------------------------


@pytest.fixture
def looks():
    """Say whether garbage is looked for, and look for it again afterwards."""
    assert gc.isenabled()
    yield gc.isenabled
    gc.enable()


def test_no_garbage_is_looked_for_while_files_are_checked(shop, looks):
    """Neither in a step nor between two, and again after the last."""
    seen = []
    run_over(shop, Cache(None), lambda *_: seen.append(looks()))
    assert seen
    assert not any(seen)
    assert looks()


@pytest.mark.parametrize("before", [True, False])
def test_a_process_of_its_own_looks_for_no_garbage(monkeypatch, looks, before):
    """Not even at its end: what is left then is set aside."""
    seen = []
    (gc.enable if before else gc.disable)()
    monkeypatch.setattr(cli, "run", lambda _: seen.append(looks()) or 0)
    monkeypatch.setattr(cli.gc, "freeze", lambda: seen.append("frozen"))
    monkeypatch.setattr(sys, "argv", ["sqla-safe"])
    assert cli.main() == 0
    assert seen == [False, "frozen"]
    assert looks() is before


@pytest.mark.parametrize("work", ["mended", "promised"])
def test_garbage_is_looked_for_where_sources_are_changed(shop, looks, command, monkeypatch, work):
    """Syntax trees to be changed are much, and refer to each other."""
    seen = []
    change = getattr(fixes, work)
    monkeypatch.setattr(_mend.fixes, work, lambda *given: seen.append(looks()) or change(*given))
    gc.disable()
    command("check", ".", *(["--fix"] if work == "mended" else []))
    assert seen
    assert all(seen)
    assert not looks()


# --- functions ------------------------------------------------------------------


def test_each_function_is_asked_once_whether_it_leads_to_sessions(shop, monkeypatch):
    """Methods as well, which count for their classes too."""
    write(shop, {"app/service.py": SERVICE})
    asked = []
    is_seed = Relevance.is_seed
    monkeypatch.setattr(
        Relevance, "is_seed", lambda self, one: asked.append(one.name) or is_seed(self, one)
    )
    run_over(shop, Cache(None))
    assert sorted(asked) == ["__init__", "load", "show"]


# --- states ---------------------------------------------------------------------


@pytest.fixture
def copies(shop, monkeypatch):
    """Count how often a state is copied while the functions of a file are followed."""

    def count(body: str) -> int:
        made = []
        copy = State.copy
        with monkeypatch.context() as patch:
            patch.setattr(State, "copy", lambda state: made.append(1) or copy(state))
            write(shop, {"app/loose.py": f"async def run(session):\n{indent(body, '    ')}"})
            run_over(shop, Cache(None))
        return len(made)

    return count


def test_a_block_that_may_fail_is_copied_as_often_as_one_statement_of_it(copies):
    """What each statement leaves is joined with what those before it have left."""
    tried = "try:\n{}except ValueError:\n    pass\n"
    statement = "    await session.flush()\n"
    assert copies(tried.format(statement)) == copies(tried.format(statement * 5))


def test_a_condition_that_holds_costs_no_copy(copies):
    """There is one way only."""
    test = "if True:\n    await session.flush()\n"
    assert copies(test * 3) == copies(test)


# --- fingerprints ---------------------------------------------------------------


@pytest.mark.parametrize("is_kept", [True, False])
def test_what_findings_depend_on_is_worked_out_for_a_cache_alone(
    shop, monkeypatch, tmp_path_factory, is_kept
):
    """Nobody else asks."""
    made = []
    dependencies = _project.Dependencies
    monkeypatch.setattr(
        _project, "Dependencies", lambda *given: made.append(1) or dependencies(*given)
    )
    cache = Cache(tmp_path_factory.mktemp("kept") if is_kept else None)
    assert run_over(shop, cache).findings
    assert len(made) == is_kept
    cache.close()
