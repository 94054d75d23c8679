"""SQS010: a relationship that was not loaded is read in async code."""

from sqlalchemy import select
from sqlalchemy.exc import MissingGreenlet
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from tests.checker.samples.world import Avatar, Keeping, User, UserService


async def lazy(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    return user.balance.coins  # error: SQS010


async def of_each(session: AsyncSession):
    for user in (await session.scalars(select(User))).all():
        print(user.balance)  # error: SQS010


async def deferred_column(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    print(user.biography)  # error: SQS010


async def through_a_service(user_id):
    async with Keeping() as session:
        user = await UserService(session).get(user_id)
        print(user.balance)  # error: SQS010


async def loaded(session: AsyncSession, user_id):
    user = await session.get(User, user_id, options=[selectinload(User.balance)])
    print(user.balance.coins, user.name, user.roles)


async def loaded_by_refresh(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    await session.refresh(user, ["balance"])
    print(user.balance)


async def awaited(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    print(await user.awaitable_attrs.balance)


async def in_run_sync(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    print(await session.run_sync(lambda _: user.balance))


async def expected(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    try:
        return user.balance
    except MissingGreenlet:
        return None


async def back_to_the_parent(session: AsyncSession, user_id):
    user = await session.get(User, user_id, options=[selectinload(User.avatars)])
    return [avatar.user for avatar in user.avatars]


async def parent_is_in_the_session(session: AsyncSession, avatar_id):
    avatar = await session.get(Avatar, avatar_id)
    user = await session.get(User, avatar.user_id)
    return avatar.user is user


async def parameter(user: User):
    return user.balance
