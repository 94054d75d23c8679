"""SQS031: an entity is captured by a task, thread, listener or callback."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import anyio
from sqlalchemy import event, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from tests.checker.samples.world import Keeping, SyncSession, User


async def greet(user):
    await asyncio.sleep(1)
    print(user.name)


async def greet_by_id(user_id):
    print(user_id)


async def by_a_task(user_id):
    async with Keeping() as session:
        user = await session.get(User, user_id)
        asyncio.create_task(greet(user))  # warning: SQS031
        asyncio.create_task(greet_by_id(user.id))


async def by_a_background_task(session, background_tasks, user_id):
    user = await session.get(User, user_id)
    background_tasks.add_task(greet, user)  # warning: SQS031
    background_tasks.add_task(greet_by_id, user.id)


def by_a_listener(session: Session, user_id):
    user = session.get(User, user_id)
    name = user.name

    @event.listens_for(session, "after_commit")
    def tell(_session):
        print("stored", user.name)  # error: SQS031
        print("stored", name)


class Job:
    def __init__(self, user: User) -> None:
        self.user = user

    async def start(self):
        asyncio.create_task(self.run_later())

    async def run_later(self):
        print(self.user.name)  # warning: SQS031


async def by_a_thread_that_is_waited_for(user_id):
    async with Keeping() as session:
        user = await session.get(User, user_id)
        await asyncio.to_thread(render, user)
        await asyncio.wait_for(asyncio.to_thread(render, user), timeout=1)


def render(user):
    print(user.name)


async def by_a_queue(session, queue, user_id):
    user = await session.get(User, user_id)
    await queue.enqueue_job("greet", user)  # warning: SQS031
    await greet.kiq(user)  # warning: SQS031
    await queue.enqueue_job("greet_by_id", user.id)


async def by_a_lambda(dispatcher, user_id):
    async with Keeping() as session:
        user = await session.get(User, user_id)
        dispatcher.shutdown.register(lambda: print(user.name))  # warning: SQS031
        print(sorted([3, 1], key=lambda number: number * user.id))


async def by_a_closure(user_id):
    async with Keeping() as session:
        user = await session.get(User, user_id)

        async def later():
            await asyncio.sleep(60)
            print(user.name)

        asyncio.ensure_future(later())  # warning: SQS031


async def within_a_group(user_id):
    async with Keeping() as session:
        user = await session.get(User, user_id)
        async with asyncio.TaskGroup() as group:
            group.create_task(greet(user))


running = set()


async def by_a_task_that_is_kept_by_others(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    task = asyncio.create_task(greet(user))  # warning: SQS031
    running.add(task)
    task.add_done_callback(running.discard)


async def by_a_nested_function(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    name = user.name

    async def greet_later():
        await asyncio.sleep(1)
        print(user.name)

    async def greet_by_name():
        await asyncio.sleep(1)
        print(name)

    _greeting = asyncio.create_task(greet_later())  # warning: SQS031
    asyncio.create_task(greet_by_name())
    await asyncio.create_task(greet_later())


async def by_a_nested_job(session: AsyncSession, background_tasks, user_id):
    user = await session.get(User, user_id)

    def tell():
        print(user.name)

    background_tasks.add_task(tell)  # warning: SQS031


async def by_a_task_that_is_waited_for(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    task = asyncio.create_task(greet(user))
    print(user.name)
    await task


async def by_tasks_that_are_gathered(session: AsyncSession):
    tasks = []
    for user in await session.scalars(select(User)):
        task = asyncio.create_task(greet(user))
        tasks.append(task)
    await asyncio.gather(*tasks)


async def by_a_group_that_waits(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    async with asyncio.TaskGroup() as group:
        group.create_task(greet(user))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(greet, user)


async def by_a_nested_function_without_any_session(user: User):
    async def greet_later():
        print(user.name)

    asyncio.create_task(greet_later())


def by_a_pool_whose_block_waits(session: Session, user_id):
    user = session.get(User, user_id)
    with ThreadPoolExecutor() as pool:
        pool.submit(greet, user)
    pool.submit(greet, user)  # warning: SQS031


def by_a_pool_that_outlives_the_session(pool, user_id):
    with ThreadPoolExecutor() as own, SyncSession() as session:
        user = session.get(User, user_id)
        own.submit(greet, user)  # warning: SQS031
        pool.submit(greet, user)  # warning: SQS031


class Postbox:
    def enqueue_job(self, user: User, letters):
        letters.append(user.name)


async def by_a_method_of_our_own(session: AsyncSession, postbox, user_id, letters):
    user = await session.get(User, user_id)
    postbox.enqueue_job(user, letters)
    postbox.enqueue(user, letters)  # warning: SQS031
