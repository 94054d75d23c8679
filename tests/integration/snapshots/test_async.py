"""Snapshots of an `AsyncSession`, on every async driver."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select
from sqlalchemy.exc import MissingGreenlet
from sqlalchemy.ext.asyncio import AsyncAttrs, async_scoped_session
from sqlalchemy.orm import selectinload

from sqla_safe import (
    AsyncLoadError,
    DetachedEntityError,
    NotLoadedError,
    SnapshotPathError,
    SnapshotSourceError,
    StaleSnapshotError,
    asnapshot,
    dumps,
    loads,
    replace,
    scoped_services,
    snapshot,
    write_back,
)
from tests.integration.snapshots.models import Avatar, Photo, User, Users, lisa
from tests.unit.snapshots.support import pickled, sent


async def test_paths_are_loaded(maker):
    """Two levels."""
    async with maker() as session:
        shown = await asnapshot(await session.get_one(User, 1), User.avatars, Avatar.photos)
    assert [[photo.url for photo in avatar.photos] for avatar in shown.avatars] == [
        ["1.jpg", "2.jpg"],
        ["3.jpg"],
    ]


async def test_a_snapshot_is_read_after_its_scope(maker):
    """Nothing of it needs the session, and nothing is sent."""
    async with scoped_services(maker, Users) as users:
        shown = await asnapshot(await users.by_id(1), User.avatars, Avatar.photos)
    with sent() as statements:
        assert shown.avatars[0].photos[1].url == "2.jpg"
        assert shown.avatars[0].user is shown
        assert shown.settings["sizes"][1]["unit"] == "px"
    assert statements == []


async def test_a_snapshot_is_read_in_another_loop(maker):
    """It belongs to none."""
    async with maker() as session:
        shown = await asnapshot(await session.get_one(User, 1), User.avatars)

    async def read():
        return [avatar.name for avatar in shown.avatars]

    assert await asyncio.to_thread(asyncio.run, read()) == ["Mona", "Gioconda"]


@pytest.mark.parametrize("size", [1, 10, 200])
async def test_a_path_is_one_statement(maker, size):
    """Whatever the number of roots."""
    async with maker() as session:
        session.add_all([lisa(key) for key in range(2, size + 1)])
        await session.flush()
        session.expunge_all()
        users = (await session.scalars(select(User))).all()
        with sent() as statements:
            shown = await asnapshot(users, User.avatars, Avatar.photos)
    assert (len(shown), len(statements)) == (size, 2)


async def test_what_is_loaded_is_frozen_without_await(maker):
    """`snapshot` sends nothing then."""
    async with maker() as session:
        user = (await session.scalars(select(User).options(selectinload(User.avatars)))).one()
        with sent() as statements:
            shown = snapshot(user, User.avatars)
    assert statements == []
    assert shown.avatars[0].user is shown


async def test_snapshot_in_a_coroutine_refuses_to_load(maker):
    """It cannot await, and says what can."""
    async with maker() as session:
        user = await session.get_one(User, 1)
        with pytest.raises(
            AsyncLoadError, match=r"User\.avatars must be loaded .*await asnapshot\("
        ) as caught:
            snapshot(user, User.avatars)
    assert caught.value.missing == ("User.avatars",)


async def test_the_refusal_is_sqlalchemy_s_missing_greenlet(maker):
    """Existing handlers catch it."""
    async with maker() as session:
        user = await session.get_one(User, 1)
        with pytest.raises(MissingGreenlet):
            snapshot(user, User.avatars)


async def test_snapshot_in_a_coroutine_refuses_an_expired_entity(maker):
    """A commit has taken its columns away."""
    async with maker() as session:
        user = await session.get_one(User, 1)
        await session.commit()
        with pytest.raises(AsyncLoadError, match=r"User\.name"):
            snapshot(user)


async def test_snapshot_in_a_coroutine_refuses_a_loader_option(maker):
    """It is run."""
    async with maker() as session:
        user = await session.get_one(User, 1)
        with pytest.raises(AsyncLoadError):
            snapshot(user, selectinload(User.avatars))


async def test_a_refusal_leaves_the_session_usable(maker):
    """Nothing was sent."""
    async with maker() as session:
        user = await session.get_one(User, 1)
        with pytest.raises(AsyncLoadError):
            snapshot(user, User.avatars)
        assert len((await asnapshot(user, User.avatars)).avatars) == 2


async def test_snapshot_inside_run_sync_loads(maker):
    """There a sync function may send statements."""
    async with maker() as session:
        user = await session.get_one(User, 1)
        shown = await session.run_sync(lambda _: snapshot(user, User.avatars))
    assert len(shown.avatars) == 2


async def test_an_expired_entity_is_loaded(maker):
    """As sync ones are."""
    async with maker() as session:
        user = await session.get_one(User, 1)
        await session.commit()
        shown = await asnapshot(user)
    assert shown.name == "Lisa"


async def test_a_deferred_column_is_a_path(maker):
    """And missing without it."""
    async with maker() as session:
        user = await session.get_one(User, 1)
        with pytest.raises(NotLoadedError):
            _ = (await asnapshot(user)).bio
        assert (await asnapshot(user, User.bio)).bio == "Painted in 1503"


async def test_a_loader_option_is_run(maker):
    """As it is."""
    async with maker() as session:
        option = selectinload(User.avatars).selectinload(Avatar.photos)
        shown = await asnapshot(await session.get_one(User, 1), option)
    assert shown.avatars[1].photos[0].url == "3.jpg"


async def test_a_detached_entity_that_misses_something(maker):
    """There is no session to load it."""
    async with maker() as session:
        user = await session.get_one(User, 1)
    with pytest.raises(DetachedEntityError, match=r"User\.avatars"):
        await asnapshot(user, User.avatars)


async def test_a_detached_entity_that_has_everything(maker):
    """No session is needed."""
    async with maker() as session:
        user = await session.get_one(User, 1)
    assert (await asnapshot(user)).name == "Lisa"


async def test_a_wrong_path_is_refused(maker):
    """Before anything is sent."""
    async with maker() as session:
        user = await session.get_one(User, 1)
        with sent() as statements, pytest.raises(SnapshotPathError):
            await asnapshot(user, "avatars")
    assert statements == []


async def test_no_roots(maker):
    """Nothing to do."""
    assert await asnapshot([], User.avatars) == ()


async def test_a_snapshot_is_given_back(maker):
    """Freezing twice is freezing once."""
    async with maker() as session:
        shown = await asnapshot(await session.get_one(User, 1))
    assert await asnapshot(shown) is shown


async def test_none_is_refused(maker):
    """No row was found."""
    async with maker() as session:
        with pytest.raises(SnapshotSourceError, match="None"):
            await asnapshot(await session.get(User, 99))


async def test_a_path_flushes_as_any_query_does(maker):
    """Pending changes are seen."""
    async with maker() as session:
        user = await session.get_one(User, 1)
        session.add(Avatar(name="new", user_id=1))
        shown = await asnapshot(user, User.avatars)
    assert [avatar.name for avatar in shown.avatars] == ["Mona", "Gioconda", "new"]


async def test_round_trips_are_equal(maker):
    """Pickle and msgpack."""
    async with maker() as session:
        shown = await asnapshot(await session.get_one(User, 1), User.avatars, Avatar.photos)
    assert pickled(shown) == shown
    assert loads(User, dumps(shown)) == shown


async def test_a_change_is_written_back(maker):
    """One awaited UPDATE, no SELECT."""
    async with maker() as session:
        base = await asnapshot(await session.get_one(User, 1))
    async with maker() as session, session.begin():
        with sent() as statements:
            stored = await write_back(session, replace(base, name="Nona"), base=base)
    assert [line.split()[0] for line in statements if "BEGIN" not in line] == ["UPDATE"]
    async with maker() as session:
        user = await session.get_one(User, 1)
        assert (user.name, user.version, stored.version) == ("Nona", 2, 2)


async def test_a_stale_change_is_refused(maker):
    """Somebody else was quicker."""
    async with maker() as session:
        base = await asnapshot(await session.get_one(User, 1))
    async with maker() as session, session.begin():
        (await session.get_one(User, 1)).name = "theirs"
    async with maker() as session:
        with pytest.raises(StaleSnapshotError):
            await write_back(session, replace(base, name="ours"), base=base)
        await session.rollback()
        assert (await session.get_one(User, 1)).name == "theirs"


async def test_a_json_value_is_written_back(maker):
    """Frozen containers are what the driver takes."""
    async with maker() as session:
        base = await asnapshot(await session.get_one(User, 1))
    changed = replace(base, settings={**base.settings, "sizes": [*base.settings["sizes"], 3]})
    async with maker() as session, session.begin():
        await write_back(session, changed, base=base)
    async with maker() as session:
        settings = (await session.get_one(User, 1)).settings
    assert settings == {"theme": "dark", "sizes": [1, {"unit": "px"}, 3]}


async def test_an_async_scoped_session_writes_back(maker):
    """The registry stands for its session."""
    async with maker() as session:
        base = await asnapshot(await session.get_one(User, 1))
    registry = async_scoped_session(maker, asyncio.current_task)
    await write_back(registry, replace(base, name="Nona"), base=base)
    await registry.commit()
    await registry.remove()
    async with maker() as session:
        assert (await session.get_one(User, 1)).name == "Nona"


async def test_a_write_back_in_a_scope(maker):
    """The scope commits it."""
    async with scoped_services(maker, Users) as users:
        base = await asnapshot(await users.by_id(1))
    async with scoped_services(maker) as scope:
        await write_back(scope.session, replace(base, name="Nona"), base=base)
    async with scoped_services(maker, Users) as users:
        assert (await users.by_id(1)).name == "Nona"


async def test_many_snapshots_at_once(maker):
    """Tasks do not disturb each other."""

    async def take():
        async with maker() as session:
            return await asnapshot(await session.get_one(User, 1), User.avatars, Avatar.photos)

    assert len(set(await asyncio.gather(*[take() for _ in range(5)]))) == 1


async def test_async_attrs_make_no_difference(maker):
    """The mixin only adds `awaitable_attrs`, which an entity has no need of here."""
    assert not issubclass(User, AsyncAttrs)
    async with maker() as session:
        photo = await asnapshot(await session.get_one(Photo, 1), Photo.avatar, Avatar.user)
    assert photo.avatar.user.name == "Lisa"
