"""SQS032: a request's session is handed to a task that outlives it."""

import asyncio

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from tests.checker.samples.world import Keeping, User


async def load(session, user_id):
    return (await session.get(User, user_id)).name


async def load_alone(user_id):
    async with Keeping() as session:
        return (await session.get(User, user_id)).name


async def to_a_task(session: AsyncSession, user_id):
    asyncio.create_task(load(session, user_id))  # error: SQS032


async def to_a_background_task(session: AsyncSession, background_tasks, user_id):
    background_tasks.add_task(load, session, user_id)  # error: SQS032


async def own_session(session: AsyncSession, background_tasks, user_id):
    asyncio.create_task(load_alone(user_id))
    background_tasks.add_task(load_alone, user_id)
    return await load(session, user_id)


async def to_a_thread_that_is_waited_for(session: Session):
    await asyncio.to_thread(session.execute, select(User))
    await asyncio.to_thread(load_all, session)


def load_all(session: Session):
    return session.scalars(select(User)).all()


async def within_a_group(user_id):
    async with asyncio.TaskGroup() as group, Keeping() as session:
        group.create_task(load(session, user_id))  # error: SQS032


async def around_a_group(user_id):
    async with Keeping() as session, asyncio.TaskGroup() as group:
        group.create_task(load(session, user_id))


async def by_a_closure(session: AsyncSession, background_tasks, user_id):
    async def later():
        print(await session.get(User, user_id))

    background_tasks.add_task(later)  # error: SQS032


async def of_a_context(context, user_id):
    async with context["session_factory"]() as session:
        asyncio.create_task(load(session, user_id))  # error: SQS032


running = set()


async def to_a_task_that_is_kept_by_others(session: AsyncSession, user_id):
    task = asyncio.create_task(load(session, user_id))  # error: SQS032
    running.add(task)


async def to_a_task_of_a_group(session: AsyncSession, user_id):
    async with asyncio.TaskGroup() as group:
        group.create_task(load(session, user_id))


def start(coroutine, name="later"):
    task = asyncio.create_task(coroutine, name=name)
    running.add(task)
    task.add_done_callback(running.discard)


async def to_what_starts_tasks(session: AsyncSession, user_id):
    start(load(session, user_id))  # error: SQS032
    start(coroutine=load_alone(user_id), name="alone")
    await asyncio.wait_for(load(session, user_id), 1)


def as_future(awaitable):
    return asyncio.ensure_future(awaitable)


async def schedule(coroutine):
    running.add(asyncio.ensure_future(coroutine))


async def to_what_gives_the_task_back(session: AsyncSession, user_id):
    await as_future(load(session, user_id))
    await schedule(load(session, user_id))  # error: SQS032
    as_future(load(session, user_id))  # error: SQS032


class Pool:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def start(self, session: AsyncSession):
        self.task = asyncio.create_task(load(session, 1))  # error: SQS032
        self.own = asyncio.create_task(self.work())

    async def work(self):
        await load(self.session, 1)

    async def run(self, session: AsyncSession):
        self.task = asyncio.create_task(load(session, 1))
        await self.task
