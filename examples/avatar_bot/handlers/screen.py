"""How a pressed button changes the message it belongs to."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from aiogram.exceptions import TelegramBadRequest
from aiogram.types import BufferedInputFile, InputMediaPhoto, Message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiogram.types import CallbackQuery, InlineKeyboardMarkup, MaybeInaccessibleMessage

NOT_THERE = "message to delete not found"
QUICKER = ("message is not modified", "message to edit not found")
"""What Telegram says to the second of two presses on one message."""


async def show_screen(
    callback: CallbackQuery, text: str, keyboard: InlineKeyboardMarkup, notice: str = ""
) -> None:
    """Turn the pressed message into another screen, and end the loading state of its button.

    A notice is shown for a moment, over whatever is there.
    """
    message = callback.message
    if isinstance(message, Message) and not message.photo:
        with _second_press():
            await message.edit_text(text, reply_markup=keyboard)
    elif message is not None and await _is_removed(message):
        await message.answer(text, reply_markup=keyboard)
    await callback.answer(notice or None)


async def show_picture(
    callback: CallbackQuery,
    picture: bytes,
    caption: str,
    keyboard: InlineKeyboardMarkup,
    notice: str = "",
) -> None:
    """Turn the pressed message into a picture, as `show_screen` turns it into text."""
    file = BufferedInputFile(picture, "avatar.jpg")
    message = callback.message
    if isinstance(message, Message) and message.photo:
        with _second_press():
            media = InputMediaPhoto(media=file, caption=caption)
            await message.edit_media(media, reply_markup=keyboard)
    elif message is not None and await _is_removed(message):
        await message.answer_photo(file, caption=caption, reply_markup=keyboard)
    await callback.answer(notice or None)


async def _is_removed(message: MaybeInaccessibleMessage) -> bool:
    """Delete the pressed message, to put a new one in its place; false if that was done before.

    A message that Telegram keeps from the bot, because it is old, stays above the new one.
    """
    if isinstance(message, Message):
        try:
            await message.delete()
        except TelegramBadRequest as error:
            return NOT_THERE not in error.message
    return True


@contextmanager
def _second_press() -> Iterator[None]:
    """Let it be no error that another press has changed or deleted the message before."""
    try:
        yield
    except TelegramBadRequest as error:
        if not any(words in error.message for words in QUICKER):
            raise
