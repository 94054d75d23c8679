"""Strict mode: after its session every read of an entity fails, loaded or not."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import joinedload
from sqlalchemy.orm.exc import DetachedInstanceError

from sqla_safe import configure, scoped_services
from tests.integration.guard.models import User
from tests.integration.guard.support import of


@pytest.fixture
def strict(plain):
    """Give a sessionmaker whose guard is strict."""
    configure(plain, guard="strict")
    return plain


@pytest.fixture
def astrict(plain_async):
    """Give an async sessionmaker whose guard is strict."""
    configure(plain_async, guard="strict")
    return plain_async


def test_a_loaded_column_cannot_be_read_after_the_session(strict):
    """The error says that only strict mode raises here."""
    with strict() as session:
        user = session.get(User, 1)
    with pytest.raises(DetachedInstanceError) as caught:
        _ = user.name
    assert of(caught.value).code == "SQS110"
    assert of(caught.value).title.endswith("(strict mode)")


def test_a_loaded_relationship_cannot_be_read_after_the_session(strict):
    """Eager loading does not help either."""
    with strict() as session:
        user = session.get(User, 1, options=[joinedload(User.team)])
    with pytest.raises(DetachedInstanceError) as caught:
        _ = user.team
    assert of(caught.value).code == "SQS110"
    assert of(caught.value).instead == "snapshot(user, User.team) inside the scope"


def test_what_was_not_loaded_is_told_as_in_any_mode(strict):
    """An option would load it; strict mode is not the reason."""
    with strict() as session:
        user = session.get(User, 1)
    for name, code in (("team", "SQS101"), ("bio", "SQS101")):
        with pytest.raises(DetachedInstanceError) as caught:
            getattr(user, name)
        assert of(caught.value).code == code


def test_inside_the_session_everything_can_be_read(strict):
    """Strict mode begins at the end of the session."""
    with strict() as session:
        user = session.get(User, 1)
        session.commit()
        assert (user.name, user.team.name) == ("user 1", "red")


def test_an_entity_can_be_added_to_another_session(strict):
    """There it is loaded again."""
    with strict() as session:
        user = session.get(User, 1)
    with strict() as session:
        session.add(user)
        assert user.name == "user 1"


async def test_async_sessions_are_strict_too(astrict):
    """The same under asyncio."""
    async with astrict() as session:
        user = await session.get(User, 1)
    with pytest.raises(DetachedInstanceError) as caught:
        _ = user.id
    assert of(caught.value).code == "SQS110"


async def test_scopes_are_strict_too(astrict):
    """The end of a scope is the end of its session."""
    astrict.configure(expire_on_commit=False)
    async with scoped_services(astrict) as scope:
        user = await scope.session.get(User, 1)
    with pytest.raises(DetachedInstanceError) as caught:
        _ = user.id
    assert of(caught.value).code == "SQS110"
