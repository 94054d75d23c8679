"""The main menu: /start, help, and the details of a top-up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiogram import F, Router
from aiogram.filters import CommandStart

from avatar_bot.handlers.screen import show_screen
from avatar_bot.keyboards.balance import BALANCE_DETAILS, BalanceDetails
from avatar_bot.keyboards.main import BACK_TO_MAIN, MAIN_HELP, main_menu
from avatar_bot.locales import ru
from avatar_bot.services import UserService
from sqla_safe import scoped_services

if TYPE_CHECKING:
    from aiogram.types import CallbackQuery, Message
    from aiogram.types import User as Person

    from avatar_bot.engine import Sessions


async def start(message: Message, person: Person, sessions: Sessions) -> None:
    """Register whoever sends /start, and greet."""
    balance = await _register(person, sessions)
    await message.answer(ru.welcome(person.first_name, balance), reply_markup=main_menu())


async def _register(person: Person, sessions: Sessions) -> int:
    """Make sure that the person is a user, and return the balance."""
    async with scoped_services(sessions, UserService) as users:
        user = await users.register_user(
            person.id, person.first_name, person.username, person.language_code
        )
        return await users.get_user_balance(user.id)


async def show_balance_details(callback: CallbackQuery, sessions: Sessions) -> None:
    """Tell about a top-up, in an alert, with the balance of this moment."""
    details = BalanceDetails.unpack(callback.data or "")
    if details is None:
        await callback.answer(ru.BAD_BUTTON, show_alert=True)
        return
    balance = await _current_balance(callback.from_user.id, sessions)
    text = ru.UNKNOWN_USER if balance is None else ru.balance_details(*details, balance)
    await callback.answer(text, show_alert=True)


async def _current_balance(telegram_id: int, sessions: Sessions) -> int | None:
    """Return the balance; None when there is no such user."""
    async with scoped_services(sessions, UserService) as users:
        user = await users.get_user_by_telegram_id(telegram_id)
        return None if user is None else await users.get_user_balance(user.id)


async def show_help(callback: CallbackQuery) -> None:
    """Explain the bot in an alert."""
    await callback.answer(ru.HELP, show_alert=True)


async def back_to_main(callback: CallbackQuery) -> None:
    """Return to the main menu."""
    await show_screen(callback, ru.MAIN_MENU, main_menu())


def create_router() -> Router:
    """Return a router with the handlers of this module."""
    router = Router(name="main_menu")
    router.message.register(start, CommandStart(), F.from_user.as_("person"))
    router.callback_query.register(show_balance_details, F.data.startswith(BALANCE_DETAILS))
    router.callback_query.register(show_help, F.data == MAIN_HELP)
    router.callback_query.register(back_to_main, F.data == BACK_TO_MAIN)
    return router
