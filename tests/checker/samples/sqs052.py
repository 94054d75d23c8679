"""SQS052: a session that was passed in is closed."""

from typing import Annotated

from fastapi import Depends
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


class Repository:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def get(self, user_id):
        async with self.session as session:  # warning: SQS052
            print((await session.get(User, user_id)).name)

    async def find(self, user_id):
        try:
            print((await self.session.get(User, user_id)).name)
        finally:
            await self.session.close()  # warning: SQS052

    async def close(self):
        await self.session.close()


class UnitOfWork:
    async def __aenter__(self):
        self.session = Keeping()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.session.close()

    async def start_again(self):
        await self.session.close()


async def get_session():
    async with Keeping() as session:
        yield session


async def by_an_endpoint(user_id, session: Annotated[AsyncSession, Depends(get_session)]):
    print((await session.get(User, user_id)).name)
    await session.close()  # warning: SQS052


async def release_early(session: AsyncSession):
    await session.commit()
    await session.close()
