"""The avatar menu, behind the button "Создать аватар".

Both services work on one session and in one transaction, and all that leaves the block is numbers.
`main_unsafe.py` holds the same handler as it was before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from aiogram import F, Router

from avatar_bot.handlers.screen import show_screen
from avatar_bot.keyboards.main import CREATE_AVATAR, avatar_menu
from avatar_bot.locales import ru
from avatar_bot.services import AvatarService, UserService
from sqla_safe import scoped_services

if TYPE_CHECKING:
    from aiogram.types import CallbackQuery

    from avatar_bot.engine import Sessions


class AvatarMenu(NamedTuple):
    """What the menu shows."""

    balance: int
    avatars_count: int


async def load_avatar_menu(telegram_id: int, sessions: Sessions) -> AvatarMenu | None:
    """Return what the menu shows; None when there is no such user."""
    async with scoped_services(sessions, UserService, AvatarService) as (users, avatars):
        user = await users.get_user_by_telegram_id(telegram_id)
        if user is None:
            return None
        user_avatars = await avatars.get_user_avatars_with_photos(user.id)
        return AvatarMenu(await users.get_user_balance(user.id), len(user_avatars))


async def show_avatar_menu(callback: CallbackQuery, sessions: Sessions) -> None:
    """Show the balance and how many avatars there are."""
    menu = await load_avatar_menu(callback.from_user.id, sessions)
    if menu is None:
        await callback.answer(ru.UNKNOWN_USER, show_alert=True)
        return
    await show_screen(callback, ru.avatar_menu(*menu), avatar_menu())


def create_router() -> Router:
    """Return a router with the handlers of this module."""
    router = Router(name="avatar")
    router.callback_query.register(show_avatar_menu, F.data == CREATE_AVATAR)
    return router
