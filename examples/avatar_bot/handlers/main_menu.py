"""The main menu: /start, help, and the details of a top-up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiogram import F, Router
from aiogram.filters import Command, CommandStart

from avatar_bot.handlers.screen import show_screen
from avatar_bot.keyboards.balance import BALANCE_DETAILS, BalanceDetails
from avatar_bot.keyboards.main import BACK_TO_MAIN, MAIN_HELP, main_menu
from avatar_bot.services import UserService
from sqla_safe import scoped_services

if TYPE_CHECKING:
    from aiogram.fsm.context import FSMContext
    from aiogram.types import CallbackQuery, Message
    from aiogram.types import User as Person

    from avatar_bot.engine import Sessions
    from avatar_bot.locales import Texts


async def start(
    message: Message, person: Person, sessions: Sessions, state: FSMContext, texts: Texts
) -> None:
    """Register whoever sends /start, and greet."""
    await state.clear()
    balance = await _register(person, sessions)
    text = texts.welcome(person.first_name, balance)
    await message.answer(text, reply_markup=main_menu(texts))


async def _register(person: Person, sessions: Sessions) -> int:
    """Make sure that the person is a user, and return the balance."""
    async with scoped_services(sessions, UserService) as users:
        user = await users.register_user(
            person.id, person.first_name, person.username, person.language_code
        )
        return await users.get_user_balance(user.id)


async def show_balance_details(callback: CallbackQuery, sessions: Sessions, texts: Texts) -> None:
    """Tell about a top-up, in an alert, with the balance of this moment."""
    details = BalanceDetails.unpack(callback.data or "")
    if details is None:
        await callback.answer(texts.BAD_BUTTON, show_alert=True)
        return
    balance = await _current_balance(callback.from_user.id, sessions)
    text = texts.UNKNOWN_USER if balance is None else texts.balance_details(*details, balance)
    await callback.answer(text, show_alert=True)


async def _current_balance(telegram_id: int, sessions: Sessions) -> int | None:
    """Return the balance; None when there is no such user."""
    async with scoped_services(sessions, UserService) as users:
        shown = await users.get_balance_card(telegram_id)
    return None if shown is None else shown.coins or 0


async def show_help(callback: CallbackQuery, texts: Texts) -> None:
    """Explain the bot in an alert."""
    await callback.answer(texts.HELP, show_alert=True)


async def send_help(message: Message, texts: Texts) -> None:
    """Explain the bot in a message."""
    await message.answer(texts.HELP)


async def back_to_main(
    callback: CallbackQuery, sessions: Sessions, state: FSMContext, texts: Texts
) -> None:
    """Return to the main menu, with the balance of this moment."""
    await state.clear()
    balance = await _current_balance(callback.from_user.id, sessions)
    if balance is None:
        await callback.answer(texts.UNKNOWN_USER, show_alert=True)
        return
    await show_screen(callback, texts.main_menu(balance), main_menu(texts))


def create_router() -> Router:
    """Return a router with the handlers of this module."""
    router = Router(name="main_menu")
    router.message.register(start, CommandStart(), F.from_user.as_("person"))
    router.message.register(send_help, Command("help"))
    router.callback_query.register(show_balance_details, F.data.startswith(BALANCE_DETAILS))
    router.callback_query.register(show_help, F.data == MAIN_HELP)
    router.callback_query.register(back_to_main, F.data == BACK_TO_MAIN)
    return router
