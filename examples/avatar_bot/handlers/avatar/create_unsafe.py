"""The beginning of a new avatar as it broke; `create.py` holds the handler that works."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiogram import F, Router

from avatar_bot.di_unsafe import get_avatar_service, get_user_service
from avatar_bot.handlers.screen import show_screen
from avatar_bot.keyboards import avatar as keyboards
from avatar_bot.keyboards.main import NEW_AVATAR
from avatar_bot.services.training import PRICE
from avatar_bot.states import CreateAvatar

if TYPE_CHECKING:
    from aiogram.fsm.context import FSMContext
    from aiogram.types import CallbackQuery

    from avatar_bot.engine import Sessions
    from avatar_bot.locales import Texts


async def ask_name(
    callback: CallbackQuery, sessions: Sessions, state: FSMContext, texts: Texts
) -> None:
    """Begin a new avatar: raises `DetachedInstanceError`."""
    async with get_user_service(sessions) as user_service:
        user = await user_service.get_user_by_telegram_id(callback.from_user.id)
        if user is None:
            await callback.answer(texts.UNKNOWN_USER, show_alert=True)
            return

    async with get_avatar_service(sessions) as avatar_service:
        await avatar_service.count_avatars(user.id)

    text = texts.ask_name(user.balance.coins, PRICE)
    await state.set_state(CreateAvatar.name)
    await show_screen(callback, text, keyboards.cancel(texts))


def create_router() -> Router:
    """Return a router with the handlers of this module."""
    router = Router(name="create_unsafe")
    router.callback_query.register(ask_name, F.data == NEW_AVATAR)
    return router
