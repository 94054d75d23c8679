"""The dispatcher: all handlers, and the sessionmaker they get by the name `sessions`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiogram import Dispatcher
from aiogram.fsm.storage.memory import MemoryStorage

from avatar_bot.handlers import errors, main_menu
from avatar_bot.handlers.avatar import main, main_unsafe

if TYPE_CHECKING:
    from avatar_bot.engine import Sessions


def create_dispatcher(sessionmaker: Sessions, *, unsafe: bool = False) -> Dispatcher:
    """Return the bot's dispatcher.

    Args:
        sessionmaker: Where the handlers get their sessions from.
        unsafe: Take the avatar menu as it was before sqla_safe, with its bug.
    """
    dispatcher = Dispatcher(storage=MemoryStorage(), sessions=sessionmaker)
    avatar = main_unsafe if unsafe else main
    dispatcher.include_routers(
        errors.create_router(), main_menu.create_router(), avatar.create_router()
    )
    return dispatcher
