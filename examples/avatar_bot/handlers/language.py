"""Which language an update is answered in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from avatar_bot.locales import texts_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiogram.types import TelegramObject


async def choose_language(
    handler: Callable[[TelegramObject, dict[str, Any]], Awaitable[Any]],
    event: TelegramObject,
    data: dict[str, Any],
) -> Any:
    """Give the handlers `texts`, in the language of the person's Telegram."""
    person = data.get("event_from_user")
    data["texts"] = texts_for(person.language_code if person else None)
    return await handler(event, data)
