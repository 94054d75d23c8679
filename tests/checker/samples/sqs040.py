"""SQS040: one session is used in several branches of `gather` or a `TaskGroup`."""

import asyncio

from sqlalchemy.ext.asyncio import AsyncSession

from tests.checker.samples.world import Keeping, User, UserService


async def load(session, user_id):
    return (await session.get(User, user_id)).name


async def load_alone(user_id):
    async with Keeping() as session:
        return (await session.get(User, user_id)).name


async def two_branches(session: AsyncSession):
    return await asyncio.gather(load(session, 1), load(session, 2))  # error: SQS040


async def each(session: AsyncSession, ids):
    return await asyncio.gather(*(load(session, key) for key in ids))  # error: SQS040


async def collected(session: AsyncSession, ids):
    tasks = []
    for key in ids:
        tasks.append(load(session, key))
    return await asyncio.gather(*tasks)  # error: SQS040


async def through_a_service(session: AsyncSession):
    users = UserService(session)
    return await asyncio.gather(users.get(1), users.get(2))  # error: SQS040


async def one_after_the_other(session: AsyncSession, ids):
    return [await load(session, key) for key in ids]


async def own_sessions(ids):
    return await asyncio.gather(*(load_alone(key) for key in ids))


async def one_branch_only(session: AsyncSession):
    return await asyncio.gather(load(session, 1), asyncio.sleep(1))
