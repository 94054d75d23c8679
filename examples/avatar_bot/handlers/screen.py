"""How a pressed button changes the message it belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiogram.exceptions import TelegramBadRequest
from aiogram.types import Message

if TYPE_CHECKING:
    from aiogram.types import CallbackQuery, InlineKeyboardMarkup


async def show_screen(callback: CallbackQuery, text: str, keyboard: InlineKeyboardMarkup) -> None:
    """Turn the pressed message into another screen, and end the loading state of its button."""
    if isinstance(callback.message, Message):
        await _edit(callback.message, text, keyboard)
    elif callback.message is not None:  # Telegram keeps it from the bot: deleted, or too old
        await callback.message.answer(text, reply_markup=keyboard)
    await callback.answer()


async def _edit(message: Message, text: str, keyboard: InlineKeyboardMarkup) -> None:
    """Edit `message`; a second press on the same button finds it edited already."""
    try:
        await message.edit_text(text, reply_markup=keyboard)
    except TelegramBadRequest as error:
        if "message is not modified" not in error.message:
            raise
