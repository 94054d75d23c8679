"""SQS011: `getattr` with a default or `hasattr` on a relationship that was not loaded."""

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from tests.checker.samples.world import User, user_service


async def default(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    return getattr(user, "balance", 0)  # error: SQS011


async def after_the_block(user_id):
    async with user_service() as users:
        user = await users.get(user_id)
    return getattr(user, "balance", 0)  # error: SQS011


async def asked(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    return hasattr(user, "balance")  # error: SQS011


async def of_a_parameter_that_others_load(user: User):
    return getattr(user, "balance", None)  # info: SQS011


async def of_a_parameter_that_nobody_loads(user: User):
    return getattr(user, "avatars", None)  # warning: SQS011


async def of_a_column(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    return getattr(user, "name", "")


async def loaded(session: AsyncSession, user_id):
    user = await session.get(User, user_id, options=[selectinload(User.balance)])
    return getattr(user, "balance", None)


async def of_one_of_two(session: AsyncSession, user_id, again):
    user = await session.get(User, user_id)
    print(getattr(user, "balance", None))  # error: SQS011
    if again:
        user = await session.get(User, user_id, options=[selectinload(User.balance)])
    print(getattr(user, "balance", None))  # warning: SQS011
