"""The dispatcher: all handlers, and what they get by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiogram import Dispatcher
from aiogram.fsm.storage.memory import MemoryStorage

from avatar_bot.handlers import errors, main_menu, main_menu_unsafe, unknown
from avatar_bot.handlers.avatar import (
    create,
    create_unsafe,
    gallery,
    gallery_unsafe,
    main,
    main_unsafe,
    photo_upload,
    photo_upload_unsafe,
    training_production,
    training_production_unsafe,
)
from avatar_bot.handlers.avatar.albums import Albums
from avatar_bot.handlers.language import choose_language

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiogram import Router
    from aiogram.fsm.storage.base import BaseStorage

    from avatar_bot.engine import Sessions

UNSAFE = (
    main_menu_unsafe,
    main_unsafe,
    create_unsafe,
    photo_upload_unsafe,
    training_production_unsafe,
    gallery_unsafe,
)


def create_dispatcher(
    sessionmaker: Sessions,
    *,
    unsafe: bool = False,
    storage: BaseStorage | None = None,
    wake: Callable[[], None] = lambda: None,
) -> Dispatcher:
    """Return the bot's dispatcher.

    Args:
        sessionmaker: Where the handlers get their sessions from.
        unsafe: Take six of the handlers as they were before sqla_safe, with their bug.
        storage: Where FSM data is kept; in memory by default.
        wake: Called when a training was stored.
    """
    dispatcher = Dispatcher(
        storage=storage or MemoryStorage(),
        sessions=sessionmaker,
        wake=wake,
        albums=Albums(sessionmaker),
    )
    dispatcher.update.outer_middleware(choose_language)
    dispatcher.include_routers(*_routers(sessionmaker, unsafe=unsafe))
    return dispatcher


def _routers(sessionmaker: Sessions, *, unsafe: bool) -> list[Router]:
    """Return the routers in the order in which they are asked: the unsafe ones go first."""
    return [
        errors.create_router(),
        *(module.create_router() for module in UNSAFE if unsafe),
        main_menu.create_router(),
        main.create_router(),
        create.create_router(sessionmaker),
        photo_upload.create_router(),
        training_production.create_router(),
        gallery.create_router(sessionmaker),
        unknown.create_router(),
    ]
