"""The avatar menu, behind the button "Создать аватар".

Both services work on one session and in one transaction, and what leaves the block are snapshots:
they read like the entities and need no session. `main_unsafe.py` holds the same handler as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from aiogram import F, Router

from avatar_bot.handlers.screen import show_screen
from avatar_bot.keyboards.main import CREATE_AVATAR, avatar_menu
from avatar_bot.models import Avatar, User
from avatar_bot.services import AvatarService, UserService
from avatar_bot.services.training import PRICE
from sqla_safe import asnapshot, scoped_services

if TYPE_CHECKING:
    from aiogram.fsm.context import FSMContext
    from aiogram.types import CallbackQuery

    from avatar_bot.engine import Sessions
    from avatar_bot.locales import Texts


class AvatarMenu(NamedTuple):
    """What the menu shows: snapshots, which outlive the scope."""

    user: User
    avatars: tuple[Avatar, ...]


async def load_avatar_menu(telegram_id: int, sessions: Sessions) -> AvatarMenu | None:
    """Return what the menu shows; None when there is no such user."""
    async with scoped_services(sessions, UserService, AvatarService) as (users, avatars):
        user = await users.get_user_by_telegram_id(telegram_id)
        if user is None:
            return None
        user_avatars = await avatars.get_user_avatars_with_photos(user.id)
        return AvatarMenu(await asnapshot(user, User.balance), await asnapshot(user_avatars))


async def show_avatar_menu(
    callback: CallbackQuery, sessions: Sessions, state: FSMContext, texts: Texts
) -> None:
    """Show the balance and how many avatars there are."""
    await state.clear()
    menu = await load_avatar_menu(callback.from_user.id, sessions)
    if menu is None:
        await callback.answer(texts.UNKNOWN_USER, show_alert=True)
        return
    # The scope has ended, and `user.balance` is what the report could not read here.
    text = texts.avatar_menu(menu.user.balance.coins, len(menu.avatars), PRICE)
    await show_screen(callback, text, avatar_menu(texts))


def create_router() -> Router:
    """Return a router with the handlers of this module."""
    router = Router(name="avatar")
    router.callback_query.register(show_avatar_menu, F.data == CREATE_AVATAR)
    return router
