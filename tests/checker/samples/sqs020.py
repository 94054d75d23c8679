"""SQS020: an attribute is read after a commit that has expired it."""

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from tests.checker.samples.world import Expiring, Keeping, SyncSession, User


async def expiring(user_id):
    async with Expiring() as session:
        user = await session.get(User, user_id)
        await session.commit()
        print(user.name)  # error: SQS020


async def in_a_helper(user_id):
    async with Expiring() as session:
        user = await session.get(User, user_id)
        await store(session)
        print(user.name)  # error: SQS020


async def store(session):
    await session.commit()


async def refreshed(user_id):
    async with Expiring() as session:
        user = await session.get(User, user_id)
        await session.commit()
        await session.refresh(user)
        print(user.name)


async def loaded_again(user_id):
    async with Expiring() as session:
        user = await session.get(User, user_id)
        await session.commit()
        user = await session.get(User, user_id)
        print(user.name)


async def keeping(user_id):
    async with Keeping() as session:
        user = await session.get(User, user_id)
        await session.commit()
        print(user.name)


def sync_loads_again(user_id):
    with SyncSession() as session:
        user = session.get(User, user_id)
        session.commit()
        print(user.name)


async def expired_before_the_answer(session: AsyncSession, user: User, answer):
    try:
        session.expire_all()
        answer()
    except ValueError:
        print("failed for", user.name)  # warning: SQS020


async def of_settings_that_are_not_known(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    await session.commit()
    print(user.name)  # warning: SQS020


async def loaded_again_by_the_callee(user_id):
    async with Expiring() as session:
        user = await session.get(User, user_id)
        await saved(session, user)
        print(user.name)
        await maybe_saved(session, user)
        print(user.name)
        await session.commit()
        await maybe_saved(session, user)
        print(user.name)  # error: SQS020


async def saved(session, user):
    await session.commit()
    await session.refresh(user)


async def maybe_saved(session, user):
    try:
        user.biography = "..."
        await session.flush()
    except IntegrityError:
        await session.commit()
