"""The question before a training as it broke; `training_production.py` holds the one that works."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiogram import F, Router

from avatar_bot.di_unsafe import get_avatar_service, get_user_service
from avatar_bot.handlers.screen import show_screen
from avatar_bot.keyboards import avatar as keyboards
from avatar_bot.keyboards.buttons import Action, AvatarButton
from avatar_bot.services.training import PRICE

if TYPE_CHECKING:
    from aiogram.types import CallbackQuery

    from avatar_bot.engine import Sessions
    from avatar_bot.locales import Texts


async def confirm(
    callback: CallbackQuery, callback_data: AvatarButton, sessions: Sessions, texts: Texts
) -> None:
    """Ask whether to pay: raises `DetachedInstanceError`."""
    async with get_user_service(sessions) as user_service:
        user = await user_service.get_user_by_telegram_id(callback.from_user.id)
        if user is None:
            await callback.answer(texts.UNKNOWN_USER, show_alert=True)
            return

    async with get_avatar_service(sessions) as avatar_service:
        avatar = await avatar_service.get_avatar(user.telegram_id, callback_data.avatar_id)

    balance = user.balance.coins
    text = texts.confirm_training(avatar.name, len(avatar.photos), PRICE, balance)
    await show_screen(callback, text, keyboards.confirm_training(texts, avatar.id))


def create_router() -> Router:
    """Return a router with the handlers of this module."""
    router = Router(name="training_production_unsafe")
    router.callback_query.register(confirm, AvatarButton.filter(F.action == Action.DONE))
    return router
