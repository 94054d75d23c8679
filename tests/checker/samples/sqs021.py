"""SQS021: an attribute is read after a rollback has expired it."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncSession

from tests.checker.samples.world import Keeping, Role, SyncSession, User


async def in_the_except_branch(user_id):
    async with Keeping() as session:
        user = await session.get(User, user_id)
        try:
            await session.commit()
        except IntegrityError:
            await session.rollback()
            print("failed for", user.name)  # error: SQS021


async def after_the_except_branch(user_id):
    async with Keeping() as session:
        user = await session.get(User, user_id)
        try:
            await session.commit()
        except IntegrityError:
            await session.rollback()
        return user.id  # error: SQS021


async def in_the_next_round():
    async with Keeping() as session:
        for user in (await session.scalars(select(User))).all():
            print(user.name)  # error: SQS021
            try:
                await session.commit()
            except IntegrityError:
                await session.rollback()


async def saved_before(user_id):
    async with Keeping() as session:
        user = await session.get(User, user_id)
        name = user.name
        try:
            await session.commit()
        except IntegrityError:
            await session.rollback()
            print("failed for", name)


async def leaving(user_id):
    async with Keeping() as session:
        user = await session.get(User, user_id)
        try:
            await session.commit()
        except IntegrityError:
            await session.rollback()
            raise
        return user.id


async def a_helper_that_may_roll_back(user_id):
    async with Keeping() as session:
        user = await session.get(User, user_id)
        await store(session)
        print(user.id)  # warning: SQS021
        return user.name


async def store(session):
    try:
        await session.commit()
    except IntegrityError:
        await session.rollback()


async def savepoint(user_id):
    async with Keeping() as session:
        user = await session.get(User, user_id)
        try:
            async with session.begin_nested():
                await session.flush()
        except IntegrityError:
            print("failed for", user.name)


async def nothing_to_roll_back(user_id):
    async with Keeping() as session:
        user = await session.get(User, user_id)
        await session.commit()
        await session.rollback()
        print(user.name)


def sync_loads_again(user_id):
    with SyncSession() as session:
        user = session.get(User, user_id)
        session.rollback()
        print(user.name)


async def a_refresh_of_some_brings_the_key_back(user_id):
    async with Keeping() as session:
        user = await session.get(User, user_id)
        await session.rollback()
        await session.refresh(user, ["balance"])
        print(user.id, user.balance)
        print(user.name)  # error: SQS021


async def an_attempt_to_load_again(user_id):
    async with Keeping() as session:
        user = await session.get(User, user_id)
        await session.rollback()
        try:
            await session.refresh(user)
        except InvalidRequestError:
            print("gone")
        print(user.name)


async def renamed(session: AsyncSession, user: User, name):
    try:
        user.name = name
        await session.commit()
    except IntegrityError:
        await session.rollback()
    return user.name  # error: SQS021


async def the_helper_is_to_blame(user_id):
    async with Keeping() as session:
        user = await session.get(User, user_id)
        await renamed(session, user, "Ann")


async def greeted(user: User):
    print(user.name)


async def the_caller_is_to_blame(user_id):
    async with Keeping() as session:
        user = await session.get(User, user_id)
        await session.rollback()
        await greeted(user)  # error: SQS021


async def a_helper_that_commits_or_rolls_back(session: AsyncSession, user: User):
    await settle(session)
    return user.name  # warning: SQS021


async def settle(session: AsyncSession):
    try:
        await session.commit()
    except IntegrityError:
        await session.rollback()


async def loaded_again_one_by_one(user_id, work):
    async with Keeping() as session:
        user = await session.get(User, user_id)
        try:
            work()
        except ValueError:
            try:
                await session.rollback()
                for one in (user, None):
                    if one is None:
                        continue
                    try:  # noqa: SIM105
                        await session.refresh(one)
                    except InvalidRequestError:
                        pass
            except InvalidRequestError:
                pass
            print(user.name)


async def loaded_anew_on_the_way_that_rolled_back(user_id, loaders):
    async with Keeping() as session:
        user = await session.get(User, user_id)
        try:
            await session.commit()
        except IntegrityError:
            await session.rollback()
            user = await loaders[user_id](session)
            if not user:
                return
        print(user.name)


async def known_by_another_name_too(user_id, loaders):
    async with Keeping() as session:
        user = first = await session.get(User, user_id)
        try:
            await session.commit()
        except IntegrityError:
            await session.rollback()
            user = await loaders[user_id](session)
        print(first.name, user)  # error: SQS021


async def enable(session: AsyncSession, user: Any, name):
    try:
        user.name = name
        await session.commit()
    except IntegrityError:
        await session.rollback()
        print(user.id)
        raise


async def calls_what_does_not_say_that_it_takes_an_entity(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    await enable(session, user, "Ann")  # error: SQS021


async def enable_user(session: AsyncSession, user: User, name):
    try:
        user.name = name
        await session.commit()
    except IntegrityError:
        await session.rollback()
        print(user.id)  # error: SQS021
        raise


async def calls_what_says_that_it_takes_one(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    await enable_user(session, user, "Ann")


async def stored(session: AsyncSession) -> bool:
    try:
        await session.commit()
    except IntegrityError:
        await session.rollback()
        return False
    return True


async def asked_and_left(session: AsyncSession, user: User):
    if not await stored(session):
        return None
    return user.name


async def asked_by_name_and_left(session: AsyncSession, user: User):
    is_stored = await stored(session)
    if not is_stored:
        return None
    return user.name


async def asked_for_two_things(session: AsyncSession, user: User, is_new):
    is_stored = await stored(session)
    if is_new and is_stored:
        print(user.name)


async def asked_and_read_where_it_has_failed(session: AsyncSession, user: User):
    is_stored = await stored(session)
    if not is_stored:
        print(user.name)  # warning: SQS021


async def asked_for_something_else(session: AsyncSession, user: User, is_new):
    is_stored = await stored(session)
    if is_new or is_stored:
        print(user.name)  # warning: SQS021


async def stored_with_a_reason(session: AsyncSession) -> tuple[bool, str]:
    try:
        await session.commit()
    except IntegrityError:
        await session.rollback()
        return False, "taken"
    return True, ""


async def asked_for_a_part(session: AsyncSession, user: User):
    is_stored, reason = await stored_with_a_reason(session)
    if not is_stored:
        return reason
    return user.name


async def role_made(session: AsyncSession, user_id) -> Role | None:
    role = Role(user_id=user_id)
    session.add(role)
    try:
        await session.flush()
    except IntegrityError:
        await session.rollback()
        return None
    return role


async def asked_whether_there_is_one(session: AsyncSession, user: User):
    role = await role_made(session, user.id)
    if role is None:
        return None
    return role.id, user.name


async def asked_through_another_function(session: AsyncSession, user: User):
    await asked_and_left(session, user)
    return user.name  # warning: SQS021


async def loaded_again_by_the_helper(session: AsyncSession, user: User):
    await stored_and_loaded(session, user)
    return user.name


async def stored_and_loaded(session: AsyncSession, user: User):
    try:
        await session.commit()
    except IntegrityError:
        await session.rollback()
        await session.refresh(user)


async def what_is_loaded_after_the_rollback(session: AsyncSession, user_id):
    await stored(session)
    user = await session.get(User, user_id)
    return user.name


async def an_answer_that_says_more_than_its_truth(session: AsyncSession, user: User):
    answer = await answered(session)
    if answer["is_stored"]:
        print(user.name)


async def answered(session: AsyncSession):
    try:
        await session.commit()
    except IntegrityError:
        await session.rollback()
        return {"is_stored": False}
    return {"is_stored": True}


async def paid(session: AsyncSession, user: User) -> bool:
    try:
        statement = select(User).where(User.id == user.id).with_for_update()
        user = (await session.scalars(statement)).one()
        await session.commit()
    except IntegrityError:
        await session.rollback()
        return False
    return user.id > 0  # warning: SQS020


async def calls_what_binds_its_parameter_anew(session: AsyncSession, user: User):
    if await paid(session, user):
        print(user.name)


async def swallowed_as_the_last_thing_tried(session: AsyncSession, user: User):
    try:
        await stored(session)
    except ValueError:
        print(user.name)


async def swallowed_before_something_else_is_tried(session: AsyncSession, user: User):
    try:
        await stored(session)
        await session.execute(select(User))
    except ValueError:
        print(user.name)  # warning: SQS021


class Renaming:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def rename(self, user: User, name: str):
        user.name = name
        try:
            await self.session.flush()
        except IntegrityError:
            await self.session.rollback()
            print(user.id)  # error: SQS021

    async def without_one(self, user: User):
        await self.session.rollback()
        await self.session.refresh(user)
        return user.id


class Copying:
    def __init__(self, source: AsyncSession, target: AsyncSession) -> None:
        self.source, self.target = source, target

    async def copy(self, user: User):
        await self.target.rollback()
        return user.id


async def test_that_arranges_what_happens(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    await store_or_go_on(session)
    print(user.name)


async def who_does_not_know_what_happens(session: AsyncSession, user_id):
    user = await session.get(User, user_id)
    await store_or_go_on(session)
    print(user.name)  # warning: SQS021


async def store_or_go_on(session: AsyncSession):
    try:
        await session.commit()
    except Exception:
        await session.rollback()


async def made_anew_after_the_rollback(session: AsyncSession, name):
    known = (await session.scalars(select(User).where(User.name == name))).one_or_none()
    user = known or User(name=name)
    session.add(user)
    try:
        await session.flush()
    except IntegrityError:
        await session.rollback()
        user = User(name=f"{name} 2")
        session.add(user)
        await session.flush()
    print(user.name)
    print(known.name)  # error: SQS021


async def chosen_before_the_rollback(session: AsyncSession, name, user: User):
    other = (await session.scalars(select(User).where(User.name == name))).one()
    chosen = user if user.id else other
    try:
        await session.flush()
    except IntegrityError:
        await session.rollback()
    print(chosen.name)  # error: SQS021
