"""The services of the bot, on the database."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from avatar_bot.engine import Sessions
from avatar_bot.models import AvatarGender, BalanceTransaction, TransactionKind, User
from avatar_bot.services import AvatarService, UserService
from avatar_bot.services.user import WELCOME_COINS
from sqla_safe import scoped_services


@pytest.fixture
async def user(sessions: Sessions) -> User:
    """Store a user."""
    async with scoped_services(sessions, UserService) as users:
        return await users.register_user(174171680, "Анна", "anna_demo", "ru")


async def test_registered_user_is_found(sessions: Sessions, user: User) -> None:
    """A user is found by the Telegram id, with what Telegram told about the person."""
    async with scoped_services(sessions, UserService) as users:
        found = await users.get_user_by_telegram_id(174171680)
        assert found is not None
        assert (found.id, found.username, found.language_code) == (user.id, "anna_demo", "ru")


async def test_unknown_user_has_no_balance(sessions: Sessions) -> None:
    """Nobody is found under an unknown Telegram id, and an unknown user has 0 coins."""
    async with scoped_services(sessions, UserService) as users:
        assert await users.get_user_by_telegram_id(1) is None
        assert await users.get_user_balance(1) == 0


async def test_balance_is_the_sum_of_its_transactions(sessions: Sessions, user: User) -> None:
    """Every change of a balance leaves a record."""
    async with scoped_services(sessions, UserService) as users:
        await users.add_coins(user.id, 100, TransactionKind.TOP_UP)
        await users.add_coins(user.id, -150, TransactionKind.CHARGE)
    async with scoped_services(sessions, UserService) as users:
        total = await users.session.scalar(select(func.sum(BalanceTransaction.amount)))
        assert await users.get_user_balance(user.id) == total == WELCOME_COINS + 100 - 150


async def test_coins_go_to_one_user(sessions: Sessions, user: User) -> None:
    """A change of one balance leaves every other balance alone."""
    async with scoped_services(sessions, UserService) as users:
        other = await users.register_user(2, "Борис")
        assert await users.add_coins(user.id, 100, TransactionKind.TOP_UP) == WELCOME_COINS + 100
        assert await users.get_user_balance(other.id) == WELCOME_COINS


async def test_charge_beyond_the_balance_changes_nothing(sessions: Sessions, user: User) -> None:
    """A balance never falls below zero: the charge fails, and the scope stores none of it."""

    async def charge() -> None:
        async with scoped_services(sessions, UserService) as users:
            await users.add_coins(user.id, 100, TransactionKind.TOP_UP)
            await users.add_coins(user.id, -1000, TransactionKind.CHARGE)

    with pytest.raises(IntegrityError):
        await charge()
    async with scoped_services(sessions, UserService) as users:
        assert await users.get_user_balance(user.id) == WELCOME_COINS


async def test_avatars_come_with_their_photos(sessions: Sessions, user: User) -> None:
    """Avatars are listed oldest first, photos in upload order; the first avatar is the main one."""
    async with scoped_services(sessions, AvatarService) as avatars:
        for name in ("Летний", "Зимний"):
            avatar = await avatars.create_avatar(user.id, name, AvatarGender.FEMALE)
            for number in (1, 2):
                await avatars.add_photo(avatar, f"{name}-{number}")
    async with scoped_services(sessions, AvatarService) as avatars:
        listed = await avatars.get_user_avatars_with_photos(user.id)
        assert [(avatar.name, avatar.is_main) for avatar in listed] == [
            ("Летний", True),
            ("Зимний", False),
        ]
        assert [photo.file_id for photo in listed[0].photos] == ["Летний-1", "Летний-2"]
