"""Messages that the bot sends by itself."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from aiogram.exceptions import TelegramForbiddenError

from avatar_bot.keyboards.balance import BalanceDetails, top_up_notice
from avatar_bot.locales import Texts, texts_for
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

    Whoever has blocked the bot gets the coins all the same.

    Raises:
        UnknownUserError: Nothing was stored or sent.
    """
    balance, texts = await _store_top_up(sessions, telegram_id, coins)
    details = BalanceDetails(coins, balance)
    with suppress(TelegramForbiddenError):
        await bot.send_message(
            telegram_id, texts.topped_up(*details), reply_markup=top_up_notice(texts, details)
        )


async def _store_top_up(sessions: Sessions, telegram_id: int, coins: int) -> tuple[int, Texts]:
    """Add the coins; return the new balance, and the texts in the user's language."""
    async with scoped_services(sessions, UserService) as users:
        user = await users.get_user_by_telegram_id(telegram_id)
        if user is None:
            raise UnknownUserError(telegram_id)
        balance = await users.add_coins(user.id, coins, TransactionKind.TOP_UP)
        return balance, texts_for(user.language_code)
