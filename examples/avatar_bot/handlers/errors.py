"""What a user sees when a handler fails."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from aiogram import Router
from aiogram.dispatcher.event.bases import UNHANDLED
from aiogram.exceptions import TelegramAPIError, TelegramForbiddenError

from avatar_bot.locales import Texts, texts_for

if TYPE_CHECKING:
    from aiogram.types import ErrorEvent


async def apologise(event: ErrorEvent, texts: Texts | None = None) -> object:
    """Answer, so that no button keeps loading, and leave the error itself to the log."""
    if is_blocked(event.exception):
        return None  # the person has blocked the bot: there is nobody to tell, and nothing to mend
    with suppress(TelegramAPIError):  # the log is to show the error, not that of the apology
        await _say(event, (texts or texts_for(None)).FAILED)
    return UNHANDLED


def is_blocked(error: BaseException) -> bool:
    """Tell whether the person has blocked the bot, also if that came up only after a commit."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_blocked(part) for part in error.exceptions)
    return isinstance(error, TelegramForbiddenError)


async def _say(event: ErrorEvent, text: str) -> None:
    if event.update.callback_query is not None:
        await event.update.callback_query.answer(text, show_alert=True)
    elif event.update.message is not None:
        await event.update.message.answer(text)


def create_router() -> Router:
    """Return a router with the handlers of this module."""
    router = Router(name="errors")
    router.errors.register(apologise)
    return router
