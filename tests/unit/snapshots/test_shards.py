"""Horizontal sharding: the same key may stand for another row in another database."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine, inspect, select
from sqlalchemy.ext.horizontal_shard import ShardedSession
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.pool import StaticPool

from sqla_safe import snapshot
from tests.unit.snapshots.models.gallery import Avatar, Team, User, lisa
from tests.unit.snapshots.support import sent

SHARDS = "ab"


@pytest.fixture
def session(store):
    """Give a session on a database with Lisa in it."""
    return store(lisa())


@pytest.fixture
def sharded():
    """Give a session on two databases, with Lisa in one and Mona in the other."""
    engines = {name: create_engine("sqlite://", poolclass=StaticPool) for name in SHARDS}
    for (name, engine), person in zip(engines.items(), ("Lisa", "Mona"), strict=True):
        User.metadata.create_all(engine)
        with Session(engine) as writer, writer.begin():
            made = lisa()
            made.name = f"{person} of {name}"
            writer.add(made)
    with ShardedSession(
        shards=engines,
        shard_chooser=lambda *_: SHARDS[0],
        identity_chooser=lambda *_, **__: list(SHARDS),
        execute_chooser=lambda _: list(SHARDS),
    ) as session:
        yield session
    for engine in engines.values():
        engine.dispose()


@pytest.mark.parametrize("expired", [False, True], ids=["fresh", "expired"])
def test_paths_of_a_sharded_session(sharded, expired):
    """Each entity gets what its own shard has."""
    users = sharded.scalars(select(User)).all()
    if expired:
        sharded.expire_all()
    shown = snapshot(users, User.avatars, Avatar.photos, User.team)
    assert [user.name for user in shown] == ["Lisa of a", "Mona of b"]
    assert shown[0].avatars[0] is not shown[1].avatars[0]
    assert all(avatar.user is user for user in shown for avatar in user.avatars)


def in_shard(session, entity, token):
    """Load the first row of a class as horizontal sharding does, under a token."""
    statement = select(entity).where(entity.id == 1)
    options = {"identity_token": token}
    return session.execute(statement, execution_options=options).scalar_one()


def test_a_target_is_looked_for_in_its_own_shard(session):
    """The same key stands for another row in another one."""
    teams = [in_shard(session, Team, token) for token in "ab"]
    for team, token in zip(teams, "ab", strict=True):
        set_committed_value(team, "members", [in_shard(session, User, token)])
    with sent() as statements:
        shown = snapshot(teams)
    assert statements == []
    assert [one.members[0].team is one for one in shown] == [True, True]


@pytest.mark.parametrize("path", [User.team, User.avatars, User.bio], ids=lambda path: path.key)
def test_a_path_is_loaded_in_the_shard_of_its_entity(session, path):
    """The identity of what is loaded has the same token."""
    users = [in_shard(session, User, token) for token in "ab"]
    first, second = snapshot(users, path)
    assert first == second
    assert getattr(first, path.key) is not None
    assert all(path.key in vars(user) for user in users)


def test_the_target_of_a_shard_is_none_of_another(session):
    """Both have a team of the same key."""
    users = [in_shard(session, User, token) for token in "ab"]
    first, second = snapshot(users, User.team)
    assert first.team is not second.team
    assert [inspect(user.team).identity_token for user in users] == ["a", "b"]


def test_an_expired_entity_of_a_shard_is_loaded_again(session):
    """With the token that it has."""
    user = in_shard(session, User, "a")
    session.expire(user)
    assert snapshot(user).name == "Lisa"
