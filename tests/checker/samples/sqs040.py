"""SQS040: one session is used in several branches of `gather` or a `TaskGroup`."""

import asyncio

import anyio
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


async def by_the_session_itself(session: AsyncSession):
    return await asyncio.gather(session.get(User, 1), session.get(User, 2))  # error: SQS040


async def by_the_session_for_each(session: AsyncSession, ids):
    found = await asyncio.gather(*(session.get(User, key) for key in ids))  # error: SQS040
    return [user.name for user in found]


async def as_they_complete(session: AsyncSession, ids):
    for one in asyncio.as_completed([load(session, key) for key in ids]):  # error: SQS040
        print(await one)


async def in_a_group(session: AsyncSession):
    async with asyncio.TaskGroup() as group:
        group.create_task(load(session, 1))
        group.create_task(load(session, 2))  # error: SQS040


async def in_a_group_for_each(session: AsyncSession, ids):
    async with asyncio.TaskGroup() as group:
        for key in ids:
            group.create_task(load(session, key))  # error: SQS040


async def in_a_group_of_anyio(session: AsyncSession):
    async with anyio.create_task_group() as group:
        group.start_soon(load, session, 1)
        group.start_soon(load, session, 2)  # error: SQS040


async def one_in_a_group(session: AsyncSession):
    async with asyncio.TaskGroup() as group:
        group.create_task(load(session, 1))
        group.create_task(load_alone(2))


async def of_a_list(session: AsyncSession):
    wanted = [session.get(User, 1), session.get(User, 2)]  # the same, but not seen
    print(await asyncio.gather(*wanted))
    for one in asyncio.as_completed([session.get(User, 1), session.get(User, 2)]):  # error: SQS040
        print(await one)


async def by_the_session_in_a_group(session: AsyncSession):
    async with anyio.create_task_group() as group:
        group.start_soon(session.get, User, 1)
        group.start_soon(session.get, User, 2)  # error: SQS040
