"""How a pressed button changes the message it belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiogram.exceptions import TelegramBadRequest
from aiogram.types import BufferedInputFile, InputMediaPhoto, Message

if TYPE_CHECKING:
    from aiogram.types import CallbackQuery, InlineKeyboardMarkup


async def show_screen(callback: CallbackQuery, text: str, keyboard: InlineKeyboardMarkup) -> None:
    """Turn the pressed message into another screen, and end the loading state of its button."""
    message = callback.message
    if isinstance(message, Message) and not message.photo:
        await _edit(message, text, keyboard)
    elif message is not None:  # a picture; or Telegram keeps it from the bot: deleted, or too old
        await message.answer(text, reply_markup=keyboard)
        await _remove(message)
    await callback.answer()


async def show_picture(
    callback: CallbackQuery, picture: bytes, caption: str, keyboard: InlineKeyboardMarkup
) -> None:
    """Turn the pressed message into a picture, and end the loading state of its button."""
    file = BufferedInputFile(picture, "avatar.jpg")
    message = callback.message
    if isinstance(message, Message) and message.photo:
        await message.edit_media(
            InputMediaPhoto(media=file, caption=caption), reply_markup=keyboard
        )
    elif message is not None:
        await message.answer_photo(file, caption=caption, reply_markup=keyboard)
        await _remove(message)
    await callback.answer()


async def _remove(message: object) -> None:
    """Delete the pressed message; a second press on it finds it gone, and that is no error."""
    if isinstance(message, Message):
        try:
            await message.delete()
        except TelegramBadRequest as error:
            if "not found" not in error.message:
                raise


async def _edit(message: Message, text: str, keyboard: InlineKeyboardMarkup) -> None:
    """Edit `message`; a second press on the same button finds it edited already."""
    try:
        await message.edit_text(text, reply_markup=keyboard)
    except TelegramBadRequest as error:
        if "message is not modified" not in error.message:
            raise
