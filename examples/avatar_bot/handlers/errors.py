"""What a user sees when a handler fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiogram import Router
from aiogram.dispatcher.event.bases import UNHANDLED

from avatar_bot.locales import ru

if TYPE_CHECKING:
    from aiogram.types import ErrorEvent


async def apologise(event: ErrorEvent) -> object:
    """Answer, so that no button keeps loading, and leave the error itself to the log."""
    if event.update.callback_query is not None:
        await event.update.callback_query.answer(ru.FAILED, show_alert=True)
    elif event.update.message is not None:
        await event.update.message.answer(ru.FAILED)
    return UNHANDLED


def create_router() -> Router:
    """Return a router with the handlers of this module."""
    router = Router(name="errors")
    router.errors.register(apologise)
    return router
