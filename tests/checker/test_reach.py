"""Files of packages that have nothing to do with SQLAlchemy are not looked into."""

from __future__ import annotations

import random
from textwrap import dedent

import pytest

from sqla_safe.checker._components import components
from sqla_safe.checker._facts import extract
from sqla_safe.checker._project import findings, link
from sqla_safe.checker._settings import Settings
from tests.checker.shop import FILES


def linked(settings: Settings | None = None, **files: str):
    """Return a project of files; `__` in a name is a folder."""
    names = {
        name.replace("__", "/").replace("/init", "/__init__"): text for name, text in files.items()
    }
    facts = [extract(f"{name}.py", dedent(text).encode()) for name, text in names.items()]
    return link(facts, settings or Settings())


def counted(settings: Settings | None = None, **files: str) -> set[str]:
    """Return the files that count."""
    reach = linked(settings, **files).linked.reach
    return {module.path.removesuffix(".py") for module in reach.counted}


def test_what_imports_sqlalchemy_counts():
    """Also inside of a function."""
    assert counted(a="import sqlalchemy", b="def f():\n    from sqlmodel import Session\n") == {
        "a",
        "b",
    }


def test_nothing_counts_where_nobody_knows_of_sessions():
    """A client of a web service has sessions of its own."""
    assert (
        counted(a="from requests import Session", b="import json", c="def f(session): ...") == set()
    )


def test_a_session_that_is_here_counts_by_what_it_is():
    """The one of a test framework has to do with tests."""
    files = {
        "frame__init": "",
        "frame__main": "class Session: ...",
        "frame__run": "from frame.main import Session",
        "app__x": "import sqlalchemy",
    }
    assert counted(**files) == {"app/x"}


def test_the_importers_of_what_counts_count():
    """However many files are between."""
    files = {
        "db__init": "",
        "db__models": "from sqlalchemy.orm import DeclarativeBase",
        "bot__init": "",
        "bot__services": "from db import models",
        "other__init": "",
        "other__x": "import json",
    }
    assert counted(**files) == {"db/__init__", "db/models", "bot/__init__", "bot/services"}


def test_a_package_counts_as_a_whole():
    """Its parts hand entities to each other without importing where these come from."""
    files = {
        "app__init": "",
        "app__models": "import sqlalchemy",
        "app__web__init": "",
        "app__web__views": "def view(user): return user.pets",
        "tool__init": "",
        "tool__main": "print(1)",
    }
    assert "app/web/views" in counted(**files)
    assert "tool/main" not in counted(**files)


def test_a_parameter_called_session_counts():
    """Where the code base has any."""
    files = {
        "app__init": "",
        "app__m": "import sqlalchemy",
        "tool__init": "",
        "tool__x": "def f(db): ...",
    }
    assert "tool/x" in counted(**files)
    assert "tool/x" not in counted(**{**files, "tool__x": "def f(db: Database): ..."})


def test_what_the_settings_name_counts():
    """The sessions of the code base may be made by what is not here."""
    files = {"app__init": "", "app__x": "def f(unit): ..."}
    assert counted(Settings(session_names=("unit",)), **files) == {"app/__init__", "app/x"}


def test_sqlalchemy_is_no_user_of_itself():
    """Its own sources may be among the files."""
    files = {
        "lib__sqlalchemy__init": "",
        "lib__sqlalchemy__orm__init": "from sqlalchemy.orm.session import Session",
        "lib__sqlalchemy__orm__session": "import sqlalchemy\nclass Session: ...",
        "app__x": "import sqlalchemy",
    }
    assert counted(**files) == {"app/x"}


def test_a_folder_called_sqlalchemy_is_not_the_library():
    """Repositories are often kept in one."""
    files = {
        "app__init": "",
        "app__sqlalchemy__init": "",
        "app__sqlalchemy__orm": "from sqlalchemy.orm import Session\nx = Session",
    }
    assert "app/sqlalchemy/orm" in counted(**files)
    project = linked(**files)
    module = project.linked.index.modules["app/sqlalchemy/orm.py"]
    assert project.linked.names.of(module, "x").name == "sqlalchemy.orm.Session"


@pytest.mark.parametrize("source", ["from .. import x", "from .... import x", "from ...a import x"])
def test_a_relative_import_may_lead_above_the_root(source):
    """When the folder that is checked is a package."""
    project = linked(a=source + "\nimport sqlalchemy\ndef f(s: x.Y): s.commit()\n", init="")
    [facts] = [each for each in project.facts if each.path == "a.py"]
    assert findings(project, facts) == []


def test_findings_do_not_depend_on_the_order_of_files():
    """What one file has taught about a service is forgotten before the next one."""
    facts = [extract(path, text.encode()) for path, text in FILES.items() if path.endswith(".py")]
    facts += [extract(f"app/h{at}.py", FILES["app/handlers.py"].encode()) for at in range(5)]
    project = link(facts)
    alone = {each.path: findings(link(facts), each) for each in facts}
    assert sum(map(len, alone.values())) > 5
    order = random.Random(7)
    for _ in range(5):
        order.shuffle(facts)
        assert {each.path: findings(project, each) for each in facts} == alone


def test_components_come_after_what_they_lead_to():
    """Those that lead to each other are one."""
    edges = {1: {2}, 2: {3, 4}, 3: {2}, 4: {4}, 5: {1, 4}, 6: set()}
    found = [sorted(each) for each in components(edges)]
    assert sorted(found) == [[1], [2, 3], [4], [5], [6]]
    places = {node: at for at, nodes in enumerate(found) for node in nodes}
    assert all(places[to] <= places[node] for node, tos in edges.items() for to in tos)


def test_a_long_chain_is_no_recursion():
    """A thousand files may import each other in a row."""
    edges = {at: {at + 1} for at in range(5000)} | {5000: {0}}
    [whole] = components(edges)
    assert len(whole) == 5001
