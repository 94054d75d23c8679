"""How keyboards are made, and the callback data that holds something."""

from __future__ import annotations

from enum import Enum

from aiogram.filters.callback_data import CallbackData
from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup


class Action(Enum):
    """What a button does with its avatar."""

    PHOTOS = "photos"
    DONE = "done"
    PAY = "pay"
    MAIN = "main"
    RENAME = "rename"
    DELETE = "delete"
    REALLY_DELETE = "gone"
    SOURCES = "sources"


class AvatarButton(CallbackData, prefix="avatar"):
    """A button that acts on one avatar, shown on a page of the gallery."""

    action: Action
    avatar_id: int
    page: int = 0


class GalleryPage(CallbackData, prefix="gallery"):
    """A button that opens a page of the gallery."""

    page: int


class Choice(CallbackData, prefix="choice"):
    """An answer to a question with a few answers."""

    question: str
    answer: str


def column(*buttons: tuple[str, str]) -> InlineKeyboardMarkup:
    """Return a keyboard of (text, callback data) buttons below each other."""
    return lines(*([button] for button in buttons))


def lines(*rows: list[tuple[str, str]]) -> InlineKeyboardMarkup:
    """Return a keyboard of rows of (text, callback data) buttons."""
    keys = [
        [InlineKeyboardButton(text=text, callback_data=data) for text, data in row]
        for row in rows
        if row
    ]
    return InlineKeyboardMarkup(inline_keyboard=keys)
