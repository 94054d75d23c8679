"""SQS022: a column that the database fills on update is read after a flush."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from tests.checker.samples.world import Keeping, Note, Photo, User


async def after_flush(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    user.name = "Ann"
    await session.flush()
    print(user.updated_at)  # error: SQS022


async def after_commit(user_id):
    async with Keeping() as session:
        user = await session.get(User, user_id)
        user.name = "Ann"
        await session.commit()
        print(user.updated_at)  # error: SQS022


async def refreshed(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    user.name = "Ann"
    await session.flush()
    await session.refresh(user, ["updated_at"])
    print(user.updated_at, user.name)


async def unchanged(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    await session.flush()
    print(user.updated_at)


async def each_is_another_one(session: AsyncSession):
    for user in (await session.scalars(select(User))).all():
        print(user.updated_at)
        user.name = "Ann"
        await session.flush()


async def fetched_with_the_flush(session: AsyncSession, note_id):
    note = await session.get(Note, note_id)
    note.text = "new"
    await session.flush()
    print(note.updated_at)


async def set_by_name(session: AsyncSession, user_id, values):
    user = await session.get(User, user_id)
    for key, value in values.items():
        setattr(user, key, value)
    await session.flush()
    print(user.updated_at)  # error: SQS022


async def told_in_a_loop_what_the_database_would_fill(session: AsyncSession, now):
    users = (await session.scalars(select(User))).all()
    for user in users:
        user.name, user.updated_at = "Ann", now
    await session.flush()
    return [user.updated_at for user in users]


async def told(session: AsyncSession, user_id, now):
    user = await session.get(User, user_id)
    if user is None:
        return None
    user.name, user.updated_at = "Ann", now
    await session.flush()
    return user


async def told_where_another_way_found_none(session: AsyncSession, user_id, now):
    user = await told(session, user_id, now)
    print(user.updated_at)


async def untold(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    if user is None:
        return None
    user.name = "Ann"
    await session.flush()
    return user


async def untold_where_another_way_found_none(session: AsyncSession, user_id):
    user = await untold(session, user_id)
    print(user.updated_at)  # error: SQS022


async def another_collection_changes_no_column(session: AsyncSession, user_id, roles):
    user = await session.get(User, user_id)
    user.roles = roles
    await session.flush()
    print(user.updated_at)


async def another_parent_changes_a_column(session: AsyncSession, photo: Photo, avatar):
    photo.avatar = avatar
    await session.flush()
    print(photo.updated_at)  # error: SQS022
