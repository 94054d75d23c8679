"""SQS001: an attribute is read after the scope that loaded it has ended."""

from contextlib import AsyncExitStack

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload, undefer

from sqla_safe import asnapshot
from tests.checker.samples.world import (
    Avatar,
    Expiring,
    Keeping,
    SyncSession,
    User,
    user_service,
)


async def lazy(user_id):
    async with Keeping() as session:
        user = await session.get(User, user_id)
    return user.balance.coins  # error: SQS001


async def lazy_of_a_service(user_id):
    async with user_service() as users:
        user = await users.get(user_id)
    print(user.balance)  # error: SQS001
    print(user.name)  # info: SQS001


async def loaded_by_a_service(user_id):
    async with user_service() as users:
        user = await users.with_balance(user_id)
    print(user.balance)  # info: SQS001
    print(user.avatars)  # error: SQS001


async def eager(user_id):
    async with Keeping() as session:
        statement = select(User).options(joinedload(User.balance), undefer(User.biography))
        user = (await session.scalars(statement.where(User.id == user_id))).one()
    print(user.balance)  # info: SQS001
    print(user.roles)  # info: SQS001
    print(user.biography)  # info: SQS001


async def deferred_column(user_id):
    async with Keeping() as session:
        user = await session.get(User, user_id)
    print(user.biography)  # error: SQS001


async def expired_by_commit(user_id):
    async with Expiring() as session:
        user = await session.get(User, user_id)
        await session.commit()
    print(user.name)  # error: SQS001


async def expired_by_begin(user_id):
    async with Expiring.begin() as session:
        user = await session.get(User, user_id)
    print(user.name)  # error: SQS001


async def refreshed(user_id):
    async with Expiring() as session:
        user = await session.get(User, user_id)
        await session.commit()
        await session.refresh(user)
    print(user.name)  # info: SQS001


async def expired_on_the_way_out(user_id):
    user = None
    try:
        async with Keeping.begin() as session:
            user = await session.get(User, user_id)
            await session.flush()
    except IntegrityError:
        print(user.name)  # error: SQS001


def in_sync_code(user_id):
    with SyncSession() as session:
        user = session.get(User, user_id)
        print(user.avatars)
    print(user.avatars)  # info: SQS001
    print(user.balance)  # error: SQS001


async def inside(user_id):
    async with user_service() as users:
        user = await users.with_balance(user_id)
        name, coins = user.name, user.balance.coins
    print(name, coins)


async def snapshot_taken(user_id):
    async with Keeping() as session:
        user = await asnapshot(await session.get(User, user_id), User.balance)
    print(user.balance.coins)


async def expunged(user_id):
    async with Keeping() as session:
        user = await session.get(User, user_id)
        session.expunge(user)
    print(user.name)


async def rows(user_id):
    async with Keeping() as session:
        row = (await session.execute(select(User.id, User.name).where(User.id == user_id))).one()
    print(row.name)


async def a_savepoint_is_no_scope(session_user_id):
    async with Keeping() as session:
        async with session.begin_nested():
            user = await session.get(User, session_user_id)
        print(user.name)


def deleted(user_id):
    with SyncSession() as session:
        user = session.get(User, user_id)
        session.delete(user)
        print(user.avatars)
        session.commit()
        print(user.name)


async def of_a_stack(user_id):
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(Keeping())
        user = await session.get(User, user_id)
        print(user.name)
    print(user.balance)  # error: SQS001


def of_a_pair():
    with SyncSession() as session:
        user, avatar = session.execute(select(User, Avatar)).first()
    print(user.name)  # info: SQS001
    print(avatar.user)  # error: SQS001


def of_a_backref():
    with SyncSession() as session:
        avatar = session.scalars(select(Avatar)).first()
    print(avatar.photos)  # error: SQS001


async def awaited_too_late(user_id):
    async with Keeping() as session:
        user = await session.get(User, user_id)
    print(await user.awaitable_attrs.balance)  # error: SQS001


def each_by_itself():
    with SyncSession() as session:
        users = session.scalars(select(User)).all()
        session.commit()
        for user in users:
            delete_with_avatars(session, user)


def delete_with_avatars(session, user):
    for avatar in user.avatars:
        session.delete(avatar)
    session.delete(user)
    session.commit()


def the_same_again(session):
    user = session.scalars(select(User)).first()
    for _ in range(2):
        session.delete(user)
        session.commit()
        print(user.avatars)  # error: SQS001
