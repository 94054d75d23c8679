"""SQS051: an entity of one session is given to another, or loaded through a lost session."""

from tests.checker.samples.world import Keeping, SyncSession, User


def load_users(session):
    return session.query(User).all()


def anonymous():
    users = load_users(SyncSession())  # error: SQS051
    return [user.name for user in users]


async def added_to_another(user_id):
    async with Keeping() as first, Keeping() as second:
        user = await first.get(User, user_id)
        second.add(user)  # error: SQS051


async def refreshed_by_another(user_id):
    async with Keeping() as first:
        user = await first.get(User, user_id)
    async with Keeping() as second:
        await second.refresh(user)  # error: SQS051


async def merged(user_id):
    async with Keeping() as first, Keeping() as second:
        user = await first.get(User, user_id)
        user = await second.merge(user)
        print(user.name)


async def added_after_the_end(user_id):
    async with Keeping() as first:
        user = await first.get(User, user_id)
    async with Keeping() as second:
        second.add(user)
        print(user.name)


def kept():
    with SyncSession() as session:
        return [user.name for user in load_users(session)]
