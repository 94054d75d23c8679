"""SQS050: the result of `merge()` is ignored."""

from sqlalchemy.ext.asyncio import AsyncSession

from tests.checker.samples.world import User


async def ignored(session: AsyncSession, user: User):
    await session.merge(user)  # error: SQS050
    return user


async def read_afterwards(session: AsyncSession, user: User):
    await session.merge(user)  # warning: SQS050
    print(user.name)


async def used(session: AsyncSession, user: User):
    user = await session.merge(user)
    return user


async def not_needed_any_more(session: AsyncSession, user: User):
    await session.merge(user)
    await session.commit()


async def of_its_own_session(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    await session.merge(user)
    return user
