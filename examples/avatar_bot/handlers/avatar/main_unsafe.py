"""The avatar menu as it broke: one session per service, and the user carried across.

Kept to show the bug; `main.py` holds the handler that works.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiogram import F, Router

from avatar_bot.di_unsafe import get_avatar_service, get_user_service
from avatar_bot.handlers.screen import show_screen
from avatar_bot.keyboards.main import CREATE_AVATAR, avatar_menu
from avatar_bot.services.training import PRICE

if TYPE_CHECKING:
    from aiogram.types import CallbackQuery

    from avatar_bot.engine import Sessions
    from avatar_bot.locales import Texts


async def show_avatar_menu(callback: CallbackQuery, sessions: Sessions, texts: Texts) -> None:
    """Show the balance and how many avatars there are: raises `DetachedInstanceError`."""
    async with get_user_service(sessions) as user_service:
        user = await user_service.get_user_by_telegram_id(callback.from_user.id)
        if user is None:
            await callback.answer(texts.UNKNOWN_USER, show_alert=True)
            return

    # The session of `user` is closed. Its columns are still there; nobody loaded its balance.
    async with get_avatar_service(sessions) as avatar_service:
        user_avatars = await avatar_service.get_user_avatars_with_photos(user.id)

    # The default does not help: what is raised is no AttributeError.
    balance = getattr(user, "balance", 0)
    text = texts.avatar_menu(balance, len(user_avatars), PRICE)
    await show_screen(callback, text, avatar_menu(texts))


def create_router() -> Router:
    """Return a router with the handlers of this module."""
    router = Router(name="avatar_unsafe")
    router.callback_query.register(show_avatar_menu, F.data == CREATE_AVATAR)
    return router
