"""What is left: input that no other handler wants, and buttons of long ago."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiogram import F, Router

if TYPE_CHECKING:
    from aiogram.types import CallbackQuery, Message

    from avatar_bot.handlers.avatar.albums import Albums
    from avatar_bot.locales import Texts


async def unknown_input(message: Message, texts: Texts) -> None:
    await message.answer(texts.UNKNOWN_INPUT)


async def unknown_photo(message: Message, albums: Albums, texts: Texts) -> None:
    """Say where photos are wanted, once for an album."""
    if message.media_group_id is None or await albums.collect_unknown(message):
        await message.answer(texts.PHOTO_UNEXPECTED)


async def old_button(callback: CallbackQuery, texts: Texts) -> None:
    await callback.answer(texts.OLD_BUTTON, show_alert=True)


def create_router() -> Router:
    """Return a router with the handlers of this module; it must be the last one."""
    router = Router(name="unknown")
    router.message.register(unknown_photo, F.photo)
    router.message.register(unknown_input)
    router.callback_query.register(old_button)
    return router
