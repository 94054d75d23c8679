"""SQS012: a collection that was not loaded is replaced or changed in async code."""

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from tests.checker.samples.world import Avatar, User


async def replaced(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    user.avatars = [Avatar()]  # error: SQS012


async def loaded(session: AsyncSession, user_id):
    user = await session.get(User, user_id, options=[selectinload(User.avatars)])
    user.avatars = [Avatar()]


async def new(session: AsyncSession):
    user = User(name="Ann")
    user.avatars = [Avatar()]
    session.add(user)
    await session.commit()


async def scalar(session: AsyncSession, avatar_id, user: User):
    avatar = await session.get(Avatar, avatar_id)
    avatar.user = user
