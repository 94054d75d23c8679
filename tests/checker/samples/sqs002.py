"""SQS002: an attribute is read in the block of another session."""

from sqlalchemy import select

from tests.checker.samples.world import Expiring, Keeping, SyncSession, User, user_service


async def two_services(user_id):
    async with user_service() as users:
        user = await users.get(user_id)
    async with user_service() as others:
        await others.get(user.id)  # info: SQS002
        print(user.balance)  # error: SQS002


async def expired(user_id):
    async with Expiring.begin() as session:
        user = await session.get(User, user_id)
    async with Keeping() as session:
        await session.get(User, user.id)  # error: SQS002


async def nested_blocks(user_id):
    async with Keeping() as first:
        user = await first.get(User, user_id)
        async with Keeping() as second:
            await second.get(User, user.id)


async def plain_value(user_id):
    async with user_service() as users:
        user = await users.get(user_id)
        key = user.id
    async with user_service() as others:
        await others.get(key)


def expunged_and_added_to_another(name):
    with SyncSession() as session:
        users = {user.name: user for user in session.scalars(select(User))}
        session.expunge_all()
    with SyncSession() as session:
        user = users.get(name)
        if not user:
            user = User(name=name)
            session.add(user)
            users[name] = user
        else:
            session.add(user)
        print(user.balance)
