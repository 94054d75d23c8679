"""What an integration says about an import that failed."""

from __future__ import annotations

import pytest

from sqla_safe import MissingExtraError
from sqla_safe.ext._extras import missing
from sqla_safe.ext._testing._leaks import Watch, watched


@pytest.mark.parametrize("name", ["fastapi", "fastapi.concurrency"])
def test_a_missing_framework_is_an_extra(name: str) -> None:
    """Or a part of it."""
    found = missing(ModuleNotFoundError(name=name), "fastapi")
    assert isinstance(found, MissingExtraError)


@pytest.mark.parametrize("name", [None, "pydantic_core"])
def test_what_else_is_missing_is_not_blamed_on_the_framework(name: str | None) -> None:
    """Its own error goes on."""
    error = ModuleNotFoundError(name=name)
    assert missing(error, "fastapi") is error


def test_a_coroutine_without_asyncio_has_no_tasks_to_leave() -> None:
    """Under trio the search for tasks finds none, and disturbs nothing."""

    async def work() -> int:
        return 7

    watch = Watch()
    with pytest.raises(StopIteration) as ended:
        watched(work, watch)().send(None)
    watch.stop()
    assert (ended.value.value, watch.tasks) == (7, [])
