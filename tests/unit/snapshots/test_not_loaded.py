"""What was not captured raises, whatever way it is read."""

from __future__ import annotations

import inspect as python_inspect
from operator import attrgetter

import pytest
from sqlalchemy import select
from sqlalchemy.orm import load_only
from sqlalchemy.orm.exc import DetachedInstanceError

from sqla_safe import NotLoadedError, snapshot
from tests.unit.snapshots.models.gallery import Avatar, User, lisa


@pytest.fixture
def shown(store):
    """Give a snapshot that holds id and name."""
    session = store(lisa())
    return snapshot(session.scalars(select(User).options(load_only(User.name))).one())


def test_getattr_with_a_default_raises(shown):
    """A default must never stand for a value that is merely not loaded."""
    with pytest.raises(NotLoadedError):
        getattr(shown, "balance", 0)


def test_hasattr_raises(shown):
    """It is neither there nor not there."""
    with pytest.raises(NotLoadedError):
        hasattr(shown, "balance")


def test_attrgetter_raises(shown):
    """As reading does."""
    with pytest.raises(NotLoadedError):
        attrgetter("balance")(shown)


def test_it_is_no_attribute_error(shown):
    """Those are swallowed by getattr, hasattr, pydantic and templates."""
    with pytest.raises(NotLoadedError) as caught:
        _ = shown.balance
    assert not isinstance(caught.value, AttributeError)


def test_it_is_sqlalchemy_s_detached_instance_error(shown):
    """Existing handlers catch it."""
    with pytest.raises(DetachedInstanceError):
        _ = shown.balance


def test_it_names_attribute_key_and_path(shown):
    """All that is needed for the repair."""
    with pytest.raises(NotLoadedError) as caught:
        _ = shown.balance
    assert str(caught.value) == (
        "User.balance was not captured by this snapshot (id=1). Instead: name it where the "
        "snapshot is made: snapshot(entity, User.balance) [SQS170]"
    )


def test_it_has_its_data(shown):
    """For programs."""
    with pytest.raises(NotLoadedError) as caught:
        _ = shown.balance
    error = caught.value
    assert (error.entity, error.attribute, error.key, error.lazy) == (
        "User",
        "balance",
        "id=1",
        None,
    )


def test_a_related_snapshot_names_itself(store):
    """The path of the second level."""
    shown = snapshot(store(lisa()).get_one(User, 1), User.avatars)
    with pytest.raises(NotLoadedError, match=r"Avatar\.photos .*\(id=2\).*entity, Avatar\.photos"):
        _ = shown.avatars[1].photos


def test_a_method_that_reads_it_raises(store):
    """The error comes through."""
    session = store(lisa())
    user = session.scalars(select(User).options(load_only(User.balance))).one()
    with pytest.raises(NotLoadedError, match=r"User\.name"):
        snapshot(user).greeting()


def test_pydantic_does_not_take_its_default(shown):
    """A model with a default for what is missing."""
    pydantic = pytest.importorskip("pydantic")
    config = pydantic.ConfigDict(from_attributes=True)
    model = pydantic.create_model("Model", __config__=config, balance=(int, 0))
    with pytest.raises(Exception, match=r"User\.balance"):
        model.model_validate(shown)


def test_an_attribute_that_does_not_exist_is_an_attribute_error(shown):
    """As on every object."""
    with pytest.raises(AttributeError, match=r"User.*no attribute 'nmae'"):
        _ = shown.nmae


def test_an_attribute_that_does_not_exist_is_not_there(shown):
    """`hasattr` and defaults work for those."""
    assert not hasattr(shown, "nmae")
    assert getattr(shown, "nmae", "default") == "default"


def test_an_attribute_error_helps_with_the_spelling(shown):
    """Python suggests from `name` and `obj`."""
    with pytest.raises(AttributeError) as caught:
        _ = shown.nmae
    assert caught.value.name == "nmae"


def test_an_attribute_of_another_class_does_not_exist(shown):
    """Photos belong to avatars."""
    with pytest.raises(AttributeError):
        _ = shown.photos


def test_what_is_captured_does_not_raise(shown):
    """Id and name are there."""
    assert (shown.id, shown.name) == (1, "Lisa")


def test_dir_lists_the_attributes(shown):
    """For completion in a shell."""
    assert {"name", "avatars", "greeting"} <= set(dir(shown))


def test_members_can_be_looked_at_by_a_debugger(shown):
    """`inspect.getmembers_static` reads nothing."""
    assert "name" in dict(python_inspect.getmembers_static(shown))


def test_an_avatar_of_nobody(store):
    """A captured None is a value."""
    session = store(Avatar(id=1, name="lost"))
    assert snapshot(session.get_one(Avatar, 1), Avatar.user).user is None
