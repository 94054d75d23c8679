"""How a pressed button changes the message it belongs to."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from aiogram.exceptions import TelegramBadRequest
from aiogram.types import BufferedInputFile, InputMediaPhoto, Message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiogram.types import CallbackQuery, InlineKeyboardMarkup

QUICKER = (
    "message is not modified",
    "message to edit not found",
    "message to delete not found",
)
"""What Telegram says to the second of two presses on one message."""


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
        with _second_press():
            media = InputMediaPhoto(media=file, caption=caption)
            await message.edit_media(media, reply_markup=keyboard)
    elif message is not None:
        await message.answer_photo(file, caption=caption, reply_markup=keyboard)
        await _remove(message)
    await callback.answer()


async def _remove(message: object) -> None:
    if isinstance(message, Message):
        with _second_press():
            await message.delete()


async def _edit(message: Message, text: str, keyboard: InlineKeyboardMarkup) -> None:
    with _second_press():
        await message.edit_text(text, reply_markup=keyboard)


@contextmanager
def _second_press() -> Iterator[None]:
    """Let it be no error that another press has changed or deleted the message before."""
    try:
        yield
    except TelegramBadRequest as error:
        if not any(words in error.message for words in QUICKER):
            raise
