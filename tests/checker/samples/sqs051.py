"""SQS051: an entity of one session is given to another, or loaded through a lost session."""

from contextlib import AsyncExitStack, asynccontextmanager

from tests.checker.samples.world import Avatar, Expiring, Keeping, SyncSession, User


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


async def deleted_by_another(user_id):
    async with Keeping() as first, Keeping() as second:
        user = await first.get(User, user_id)
        await second.delete(user)  # error: SQS051


async def brought_along(user_id):
    async with Keeping() as first, Keeping() as second:
        user = await first.get(User, user_id)
        second.add(Avatar(user=user))  # error: SQS051


def appended(user_id, avatar_id):
    with SyncSession() as first, SyncSession() as second:
        user = first.get(User, user_id)
        user.avatars.append(second.get(Avatar, avatar_id))  # error: SQS051


class Remover:
    def __init__(self, session):
        self.session = session

    async def remove(self, user):
        await self.session.delete(user)


async def deleted_by_a_service_of_another(user_id):
    async with Keeping() as first, Keeping() as second:
        user = await first.get(User, user_id)
        await Remover(second).remove(user)  # error: SQS051
        await Remover(first).remove(user)


async def kept_by_a_stack(user_id):
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(Keeping())
        print((await session.get(User, user_id)).name)


@asynccontextmanager
async def either(is_test):
    if is_test:
        async with Expiring() as session:
            yield session
        return
    async with Keeping() as session:
        yield session


async def added_to_one_of_two_sessions(is_test):
    async with either(is_test) as session:
        user = User(name="Ann")
        session.add(user)
        session.add(Avatar(user=user))


async def added_to_one_of_two_that_do_not_hold_it(is_test, user_id):
    async with Keeping() as first, either(is_test) as second:
        user = await first.get(User, user_id)
        second.add(user)  # error: SQS051


def test_with_what_may_be_a_double():
    assert load_users(SyncSession()) == []
