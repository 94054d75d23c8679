"""SQS010: a relationship that was not loaded is read in async code."""

import contextlib

import pytest
from sqlalchemy import inspect, select
from sqlalchemy.exc import InvalidRequestError, MissingGreenlet
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer, lazyload, load_only, selectinload
from sqlalchemy.orm.attributes import set_committed_value

from tests.checker.samples.world import Avatar, Balance, Keeping, User, UserService


async def lazy(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    return user.balance.coins  # error: SQS010


async def of_each(session: AsyncSession):
    for user in (await session.scalars(select(User))).all():
        print(user.balance)  # error: SQS010


async def deferred_column(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    print(user.biography)  # error: SQS010


async def through_a_service(user_id):
    async with Keeping() as session:
        user = await UserService(session).get(user_id)
        print(user.balance)  # error: SQS010


async def loaded(session: AsyncSession, user_id):
    user = await session.get(User, user_id, options=[selectinload(User.balance)])
    print(user.balance.coins, user.name, user.roles)


async def loaded_by_refresh(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    await session.refresh(user, ["balance"])
    print(user.balance)


async def awaited(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    print(await user.awaitable_attrs.balance)


async def in_run_sync(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    print(await session.run_sync(lambda _: user.balance))


async def expected(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    try:
        return user.balance
    except MissingGreenlet:
        return None


async def back_to_the_parent(session: AsyncSession, user_id):
    user = await session.get(User, user_id, options=[selectinload(User.avatars)])
    return [avatar.user for avatar in user.avatars]


async def parent_is_in_the_session(session: AsyncSession, avatar_id):
    avatar = await session.get(Avatar, avatar_id)
    user = await session.get(User, avatar.user_id)
    return avatar.user is user


async def parameter(user: User):
    return user.balance


async def report(user: User, with_avatars=False, *, until=None):
    if with_avatars:
        print(user.avatars)
    if until is not None:
        return [avatar.id for avatar in user.avatars if avatar.id < until]
    return user.name


async def a_flag_decides(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    await report(user)
    await report(user, with_avatars=True)  # error: SQS010


async def an_unknown_argument_may_decide(session: AsyncSession, user_id, limit):
    user = await session.get(User, user_id)
    await report(user, until=limit)


async def options_of_either_branch(session: AsyncSession, user_id, is_short):
    if is_short:
        options = [selectinload(User.balance), selectinload(User.roles)]
    else:
        options = [selectinload(User.avatars)]
    user = await session.get(User, user_id, options=options)
    return user.avatars, user.balance


async def the_other_side_is_set(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    balance = Balance(coins=1)
    balance.user = user
    print(user.balance)


async def of_a_row_made_with_it(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    session.add(Balance(coins=1, user=user))
    print(user.balance)


async def the_owner_may_have_loaded_the_parent(session: AsyncSession, avatar_id):
    avatar = await session.get(Avatar, avatar_id)
    return avatar.user.name  # warning: SQS010


async def the_parent_is_not_there(avatar_id):
    async with Keeping() as session:
        avatar = await session.get(Avatar, avatar_id)
        return avatar.user.name  # error: SQS010


async def found_or_made(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    if user is None:
        user = User(name="Ann", balance=None)
        session.add(user)
    return user.balance  # warning: SQS010


async def assigned_before_a_refresh(session: AsyncSession):
    user = User(name="Ann", balance=Balance(coins=1))
    session.add(user)
    await session.commit()
    await session.refresh(user)
    return user.balance  # error: SQS010


async def asked_what_is_loaded(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    state = inspect(user)
    if "balance" not in state.unloaded and user.balance:
        print(user.balance.coins)


def balance_of(session, user_id):
    return session.get(User, user_id).balance


async def by_a_function_in_run_sync(session: AsyncSession, user_id):
    return await session.run_sync(balance_of, user_id)


async def awaited_before(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    for avatar in await user.awaitable_attrs.avatars:
        print(avatar.user)
        print(avatar.photos)  # error: SQS010
    print(user.avatars)


async def only_some_columns(session: AsyncSession):
    user = await session.scalar(select(User).options(load_only(User.id)))
    print(user.id)
    print(user.name)  # error: SQS010


async def put_off(session: AsyncSession):
    user = await session.scalar(select(User).options(lazyload(User.roles), defer(User.name)))
    print(user.roles)  # error: SQS010
    print(user.name)  # error: SQS010


async def only_some_columns_and_then_all(session: AsyncSession):
    user = await session.scalar(select(User).options(load_only(User.id)))
    await session.refresh(user)
    print(user.name)


async def by_a_service_that_is_handed_in(users: UserService, user_id):
    user = await users.get(user_id)
    print(user.balance)  # error: SQS010


async def loaded_by_a_service_that_is_handed_in(users: UserService, user_id):
    user = await users.with_balance(user_id)
    print(user.balance)


async def by_a_key_to_sort_by(session: AsyncSession):
    users = list(await session.scalars(select(User)))
    users.sort(key=lambda user: user.balance.coins)  # error: SQS010
    first = max(users, key=lambda user: user.name)
    print(first.balance)  # error: SQS010
    return sorted(users, key=lambda user: len(user.avatars))  # error: SQS010


async def of_a_session_that_is_taken_from_a_generator(user_id):
    session = await anext(sessions())
    user = await session.get(User, user_id)
    print(user.balance)  # error: SQS010


async def sessions():
    async with Keeping() as session:
        yield session


class Greeting:
    def __init__(self, users: UserService) -> None:
        self.users = users

    async def greet(self, user_id):
        user = await self.users.get(user_id)
        print(user.balance)  # error: SQS010


async def set_by_hand(session: AsyncSession):
    users = list((await session.scalars(select(User))).all())
    await put_avatars_on(session, users)
    for user in users:
        print(user.avatars)
        print(user.balance)  # error: SQS010


async def put_avatars_on(session: AsyncSession, users: list[User]):
    if not users:
        return users
    avatars = (await session.scalars(select(Avatar))).all()
    for user in users:
        own = [avatar for avatar in avatars if avatar.user_id == user.id]
        set_committed_value(user, "avatars", own)
    return users


async def only_some_of_them(session: AsyncSession, user_id):
    some = selectinload(User.avatars.and_(Avatar.id > 1)).selectinload(Avatar.photos)
    user = await session.get(User, user_id, options=[some])
    print(user.avatars[0].photos)
    print(user.balance)  # error: SQS010


async def of_a_subclass(session: AsyncSession, user_id):
    user = await session.get(User, user_id, options=[selectinload(User.avatars.of_type(Avatar))])
    print(user.avatars)


async def expected_by_a_test(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    with pytest.raises(InvalidRequestError):
        print(user.balance)
    with contextlib.suppress(MissingGreenlet):
        coins_of(user)
    with pytest.raises(ValueError, match="coins"):
        print(user.balance)  # error: SQS010


def coins_of(user: User):
    return user.balance.coins


async def of_what_a_callee_reaches(session: AsyncSession, user_id):
    user = await session.get(User, user_id, options=[selectinload(User.avatars)])
    photos_of(user)  # error: SQS010
    loaded = selectinload(User.avatars).selectinload(Avatar.photos)
    user = await session.get(User, user_id, options=[loaded])
    photos_of(user)


def photos_of(user: User):
    return [photo.id for avatar in user.avatars for photo in avatar.photos]


async def loaded_before(session: AsyncSession, user_id):
    user = await session.get(User, user_id, options=[selectinload(User.avatars)])
    user = await session.get(User, user.id)
    print(user.avatars)  # warning: SQS010
    print(user.balance)  # error: SQS010
