"""Messages that the bot sends by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avatar_bot.keyboards.balance import BalanceDetails, top_up_notice
from avatar_bot.locales import ru
from avatar_bot.models import TransactionKind
from avatar_bot.services import UserService
from sqla_safe import scoped_services

if TYPE_CHECKING:
    from aiogram import Bot

    from avatar_bot.engine import Sessions


class UnknownUserError(LookupError):
    """Nobody with this Telegram id has sent /start."""


async def top_up(bot: Bot, sessions: Sessions, telegram_id: int, coins: int) -> None:
    """Add coins to a user's balance; once that is stored, tell the user.

    Raises:
        UnknownUserError: Nothing was stored or sent.
    """
    details = BalanceDetails(coins, await _store_top_up(sessions, telegram_id, coins))
    text = ru.topped_up(*details)
    await bot.send_message(telegram_id, text, reply_markup=top_up_notice(details))


async def _store_top_up(sessions: Sessions, telegram_id: int, coins: int) -> int:
    """Add the coins and return the new balance."""
    async with scoped_services(sessions, UserService) as users:
        user = await users.get_user_by_telegram_id(telegram_id)
        if user is None:
            raise UnknownUserError(telegram_id)
        return await users.add_coins(user.id, coins, TransactionKind.TOP_UP)
