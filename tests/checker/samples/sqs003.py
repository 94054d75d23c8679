"""SQS003: an entity is passed on or returned out of the scope that loaded it."""

from sqlalchemy import select

from sqla_safe import asnapshot
from tests.checker.samples.world import Expiring, Keeping, SyncSession, User, user_service


def describe(user):
    return f"{user.name} has {user.balance.coins}"


async def passed(user_id):
    async with user_service() as users:
        user = await users.with_balance(user_id)
    return describe(user)  # info: SQS003


async def passed_expired(user_id):
    async with Expiring.begin() as session:
        user = await session.get(User, user_id)
    describe(user)  # error: SQS003, error: SQS001


async def returned(user_id):
    async with Keeping() as session:
        return await session.get(User, user_id)  # info: SQS003


async def harmless(user_id):
    async with user_service() as users:
        user = await users.get(user_id)
    return user is not None and isinstance(user, User)


async def snapshot_returned(user_id):
    async with Keeping() as session:
        return await asnapshot(await session.get(User, user_id), User.balance)


async def borrowed(session, user_id):
    return await session.get(User, user_id)


async def everybody():
    async with Keeping() as session:
        return await session.scalars(select(User))  # info: SQS003


async def read_later():
    for user in await everybody():
        print(user.name)  # info: SQS001
        print(user.balance)  # error: SQS001


async def within_the_session(session):
    return await session.scalars(select(User))


async def counted():
    async with Keeping() as session:
        return await session.scalar(select(User.id))


def store(user: User, name, session):
    user.name = name
    session.add(user)
    session.commit()


def renamed(user_id):
    with SyncSession() as session:
        user = session.get(User, user_id)
        session.commit()
    with SyncSession() as session:
        store(user, "Ada", session)
    describe(user)  # error: SQS003, error: SQS001


def attached_by_a_method(user_id, users):
    with SyncSession() as session:
        user = session.get(User, user_id)
        session.commit()
    users.store(user)  # error: SQS003
