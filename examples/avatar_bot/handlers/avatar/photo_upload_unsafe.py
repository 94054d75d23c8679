"""The photo screen as it broke; `photo_upload.py` holds the handler that works."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiogram import F, Router

from avatar_bot.di_unsafe import get_avatar_service, get_user_service
from avatar_bot.handlers.screen import show_screen
from avatar_bot.keyboards import avatar as keyboards
from avatar_bot.keyboards.buttons import Action, AvatarButton
from avatar_bot.services.avatar import MAX_PHOTOS, MIN_PHOTOS

if TYPE_CHECKING:
    from aiogram.types import CallbackQuery

    from avatar_bot.engine import Sessions
    from avatar_bot.locales import Texts


async def ask_photos(
    callback: CallbackQuery, callback_data: AvatarButton, sessions: Sessions, texts: Texts
) -> None:
    """Show how many photos an avatar has: raises `DetachedInstanceError`."""
    async with get_user_service(sessions) as user_service:
        user = await user_service.get_user_by_telegram_id(callback.from_user.id)
        if user is None:
            await callback.answer(texts.UNKNOWN_USER, show_alert=True)
            return

    async with get_avatar_service(sessions) as avatar_service:
        avatar = await avatar_service.get_avatar(user.telegram_id, callback_data.avatar_id)

    balance = texts.coins(user.balance.coins)
    text = texts.ask_photos(avatar.name, len(avatar.photos), MIN_PHOTOS, MAX_PHOTOS)
    await show_screen(callback, f"{text}\n{balance}", keyboards.photos(texts, avatar.id))


def create_router() -> Router:
    """Return a router with the handlers of this module."""
    router = Router(name="photo_upload_unsafe")
    router.callback_query.register(ask_photos, AvatarButton.filter(F.action == Action.PHOTOS))
    return router
