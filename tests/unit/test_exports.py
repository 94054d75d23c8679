"""What `import sqla_safe` gives, and what it does not take along."""

from __future__ import annotations

import subprocess
import sys

import pytest

import sqla_safe
from sqla_safe import errors

FRAMEWORKS = (
    *("aiogram", "aiohttp", "anyio", "celery", "dishka", "fastapi", "litestar"),
    *("pydantic", "pytest", "starlette", "taskiq", "tenacity"),
)
DRIVERS = ("aiosqlite", "asyncmy", "asyncpg", "psycopg", "psycopg2", "pymysql")


def modules_after(statement: str) -> set[str]:
    """Return the top-level packages that a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport sys; print(*{{m.partition('.')[0] for m in sys.modules}})"
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_all_is_sorted() -> None:
    """`__all__` is in order, so that a diff shows one line per name."""
    assert sqla_safe.__all__ == sorted(sqla_safe.__all__)


def test_all_equals_the_public_names() -> None:
    """What has a public name is exported, and nothing else."""
    for name in sqla_safe.__all__:
        getattr(sqla_safe, name)
    ours = {
        name
        for name, value in vars(sqla_safe).items()
        if not name.startswith("_") and getattr(value, "__module__", "").startswith("sqla_safe")
    }
    assert ours == set(sqla_safe.__all__)


@pytest.mark.parametrize("name", sqla_safe.__all__)
def test_every_name_can_be_imported_first(name: str) -> None:
    """Each name is an attribute that belongs to this package."""
    assert getattr(sqla_safe, name).__module__.startswith("sqla_safe.")


def test_every_error_is_exported() -> None:
    """`except sqla_safe.SomeError` works for all of them."""
    assert set(errors.__all__) <= set(sqla_safe.__all__)


def test_dir_shows_every_name() -> None:
    """Completion in an editor or a shell finds the names before they are loaded."""
    assert set(sqla_safe.__all__) <= set(dir(sqla_safe))


def test_unknown_name_is_an_attribute_error() -> None:
    """A name that does not exist fails as in any module."""
    with pytest.raises(AttributeError, match="module 'sqla_safe' has no attribute 'scoped'"):
        _ = sqla_safe.scoped


def test_star_import_gives_exactly_all() -> None:
    """`from sqla_safe import *` works with names that are loaded on demand."""
    names: dict[str, object] = {}
    exec("from sqla_safe import *", names)  # noqa: S102 - a star import needs a module of its own
    assert sorted(set(names) - {"__builtins__"}) == sqla_safe.__all__


def test_bare_import_loads_neither_sqlalchemy_nor_a_framework() -> None:
    """`import sqla_safe` costs next to nothing."""
    assert modules_after("import sqla_safe").isdisjoint({"sqlalchemy", *FRAMEWORKS, *DRIVERS})


def test_using_every_name_loads_no_framework() -> None:
    """Whoever uses the scopes gets SQLAlchemy and nothing that he did not ask for."""
    loaded = modules_after("from sqla_safe import *")
    assert "sqlalchemy" in loaded
    assert loaded.isdisjoint({*FRAMEWORKS, *DRIVERS})
