"""SQS050: the result of `merge()` is ignored."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from tests.checker.samples.world import Balance, User


async def ignored_of_somebody_elses(session: AsyncSession, user: User):
    await session.merge(user)  # warning: SQS050
    return user


async def read_afterwards(session: AsyncSession, user: User):
    await session.merge(user)  # warning: SQS050
    print(user.name)


async def used(session: AsyncSession, user: User):
    user = await session.merge(user)
    return user


async def not_needed_any_more(session: AsyncSession, user: User):
    await session.merge(user)
    await session.commit()


async def of_its_own_session(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    await session.merge(user)
    return user


async def of_one_of_two_statements(session: AsyncSession, user_id, name):
    user = await session.get(User, user_id)
    if not user:
        user = (await session.scalars(select(User).where(User.name == name))).first()
    await session.merge(user)
    return user


async def added_or_loaded(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    if user is None:
        user = User(name="Ann")
        session.add(user)
    await session.merge(user)
    return user


async def made_and_asked_for_what_it_was_told(session: AsyncSession, coins):
    balance = Balance(coins=coins)
    await session.merge(balance)
    print(balance.coins)


async def made_and_asked_for_its_key(session: AsyncSession, coins):
    balance = Balance(coins=coins)
    await session.merge(balance)  # warning: SQS050
    print(balance.id)


async def made_and_changed_afterwards(session: AsyncSession, coins):
    balance = Balance(coins=coins)
    await session.merge(balance)  # warning: SQS050
    balance.coins = 0


async def merged_and_then_another(session: AsyncSession, names):
    for name in names:
        if len(name) > 1:
            user = User(name=name)
            await session.merge(user)
        else:
            user = User(name="nobody")
            session.add(user)


async def merged_and_perhaps_another(session: AsyncSession, user_id, name):
    user = User(id=user_id)
    await session.merge(user)  # error: SQS050
    if name:
        user = User(name=name)
        print(user.name)
    return user
