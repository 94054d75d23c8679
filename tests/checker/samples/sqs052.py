"""SQS052: a session that was passed in is closed."""

from sqlalchemy.ext.asyncio import AsyncSession

from tests.checker.samples.world import Keeping, User


async def by_a_block(session: AsyncSession, user_id):
    async with session:  # warning: SQS052
        print((await session.get(User, user_id)).name)


async def by_hand(session: AsyncSession, user_id):
    print((await session.get(User, user_id)).name)
    await session.close()  # warning: SQS052


async def own(user_id):
    async with Keeping() as session:
        print((await session.get(User, user_id)).name)


async def only_its_own(user_id, session: AsyncSession | None = None):
    is_own = session is None
    if session is None:
        session = Keeping()
    print((await session.get(User, user_id)).name)
    if is_own:
        await session.close()


async def release_early(session: AsyncSession):
    await session.commit()
    await session.close()
