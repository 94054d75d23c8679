"""The main menu as it broke; `main_menu.py` holds the handler that works."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiogram import F, Router

from avatar_bot.di_unsafe import get_avatar_service, get_user_service
from avatar_bot.handlers.screen import show_screen
from avatar_bot.keyboards.main import BACK_TO_MAIN, main_menu

if TYPE_CHECKING:
    from aiogram.fsm.context import FSMContext
    from aiogram.types import CallbackQuery

    from avatar_bot.engine import Sessions
    from avatar_bot.locales import Texts


async def back_to_main(
    callback: CallbackQuery, sessions: Sessions, state: FSMContext, texts: Texts
) -> None:
    """Return to the main menu: raises `DetachedInstanceError`."""
    await state.clear()
    async with get_user_service(sessions) as user_service:
        user = await user_service.get_user_by_telegram_id(callback.from_user.id)
        if user is None:
            await callback.answer(texts.UNKNOWN_USER, show_alert=True)
            return

    async with get_avatar_service(sessions) as avatar_service:
        await avatar_service.count_avatars(user.id)

    text = texts.main_menu(user.balance.coins)
    await show_screen(callback, text, main_menu(texts))


def create_router() -> Router:
    """Return a router with the handlers of this module."""
    router = Router(name="main_menu_unsafe")
    router.callback_query.register(back_to_main, F.data == BACK_TO_MAIN)
    return router
