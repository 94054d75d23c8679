"""Models that come by `import *`: the last one that has the name wins, through any number."""

from __future__ import annotations

import pytest

from tests.checker.test_projects import MODELS, found

SHOW = """
    from sqlalchemy.ext.asyncio import AsyncSession

    {line}

    async def show(session: AsyncSession):
        user = await session.get(User, 1)
        print(user.posts)
"""
LOGS = """
    class Log:
        pass
"""
EVERYTHING = "from shop.models import *"


@pytest.mark.parametrize(
    "line",
    [
        "from shop.models import *\n    from shop.logs import *",
        "from shop import User",
        "from shop import *",
        "from shop.everything import User",
        "from everything import User",
    ],
)
def test_a_model_that_comes_by_a_star_is_known(line: str) -> None:
    """Its relationships too."""
    files = {
        "shop/models": MODELS,
        "shop/logs": LOGS,
        "shop/everything": "from .models import *\nfrom .logs import *",
        "shop/__init__": "from .everything import *",
        "everything": EVERYTHING,
        "app": SHOW.format(line=line),
    }
    assert found("app", **files) == [(8 + line.count("\n"), "error", "SQS010")]


def test_stars_that_lead_to_each_other_end() -> None:
    """A name that none of them has is not known."""
    files = {
        "one": "from two import *",
        "two": "from one import *",
        "app": SHOW.format(line="from one import User"),
    }
    assert found("app", **files) == []


def test_the_last_star_wins() -> None:
    """As in Python."""
    line = "from shop.models import *\n    from shop.others import *"
    others = MODELS.replace("relationship()", "relationship(lazy='selectin')")
    files = {"shop/models": MODELS, "shop/others": others, "app": SHOW.format(line=line)}
    assert found("app", **files) == []
