"""`import *`: what a package re-exports with it is known, and what it depends on too."""

from __future__ import annotations

from textwrap import dedent

import pytest

from sqla_safe.checker._facts import extract
from sqla_safe.checker._project import findings, link
from tests.checker.test_projects import MODELS

FILES = {
    "app/__init__.py": "",
    "app/db.py": "from sqlalchemy.orm import sessionmaker\nDb = sessionmaker()\n",
    "app/models/__init__.py": "from .user import *\nfrom .other import *\n",
    "app/models/other.py": "from . import *\nTWO = 2\n",
    "app/models/user.py": MODELS,
}
READ = """
from sqlalchemy import select

def f():
    with Db() as session:
        user = session.scalars(select(User)).first()
    return len(user.posts)
"""
# Each brings `User` and `Db`; the finding is in the eighth line.
IMPORTS = [
    "from app.models import User\nfrom app.db import Db",
    "from app.db import *\nfrom app.models.user import *",
    "from .models import *\nfrom .db import Db",
    "from app.db import *\nfrom sqlalchemy import *\nfrom app.models import *",
    "import app.models as models\nfrom app.db import Db\nUser = models.User",
]


def project(imports: str, **files: str):
    """Return a linked project and the file that reads."""
    texts = {**FILES, **files, "app/read.py": f"{imports}\n{READ}"}
    modules = [extract(path, dedent(text).encode()) for path, text in texts.items()]
    return link(modules), modules[-1]


@pytest.mark.parametrize("imports", IMPORTS)
def test_a_model_that_comes_by_a_star_is_known(imports: str):
    """Through a package and several stars, as through the file that defines it."""
    found = findings(*project(imports))
    assert [(each.code, each.severity) for each in found] == [("SQS001", "error")]


@pytest.mark.parametrize("imports", IMPORTS)
def test_a_change_behind_a_star_is_another_analysis(imports: str):
    """A relationship that is loaded from now on concerns whoever gets its class by a star."""
    eager = MODELS.replace("relationship()", 'relationship(lazy="selectin")')
    before, _ = project(imports)
    after, _ = project(imports, **{"app/models/user.py": eager})
    assert before.fingerprint("app/read.py") != after.fingerprint("app/read.py")


def test_a_name_that_no_star_brings_is_not_looked_for_without_end():
    """Packages that import each other by a star define what they define, and no more."""
    found = findings(*project("from app.models import Nobody as User\nfrom app.db import Db"))
    assert "error" not in {each.severity for each in found}


def test_the_last_star_wins():
    """As in Python."""
    eager = MODELS.replace("relationship()", 'relationship(lazy="selectin")')
    one, other = "from app.models.user import *", "from app.eager import *"
    seen = {}
    for imports in ((one, other), (other, one)):
        text = "\n".join(("from app.db import Db", *imports))
        found = findings(*project(text, **{"app/eager.py": eager}))
        seen[imports[-1]] = [each.severity for each in found]
    assert seen == {other: ["info"], one: ["error"]}
