"""SQS031: an entity is captured by a task, thread, listener or callback."""

import asyncio

from sqlalchemy import event
from sqlalchemy.orm import Session

from tests.checker.samples.world import Keeping, User


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
