"""The gallery as it broke; `gallery.py` holds the handler that works."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiogram import Router

from avatar_bot.di_unsafe import get_avatar_service, get_user_service
from avatar_bot.handlers.screen import show_screen
from avatar_bot.keyboards import avatar as keyboards
from avatar_bot.keyboards.buttons import GalleryPage

if TYPE_CHECKING:
    from aiogram.types import CallbackQuery

    from avatar_bot.engine import Sessions
    from avatar_bot.locales import Texts


async def open_page(callback: CallbackQuery, sessions: Sessions, texts: Texts) -> None:
    """Show the avatars: raises `DetachedInstanceError`."""
    async with get_user_service(sessions) as user_service:
        user = await user_service.get_user_by_telegram_id(callback.from_user.id)
        if user is None:
            await callback.answer(texts.UNKNOWN_USER, show_alert=True)
            return

    async with get_avatar_service(sessions) as avatar_service:
        avatars = await avatar_service.get_user_avatars_with_photos(user.id)

    balance = texts.coins(user.balance.coins)
    names = "\n".join(avatar.name for avatar in avatars)
    await show_screen(callback, f"{balance}\n\n{names}", keyboards.empty_gallery(texts))


def create_router() -> Router:
    """Return a router with the handlers of this module."""
    router = Router(name="gallery_unsafe")
    router.callback_query.register(open_page, GalleryPage.filter())
    return router
