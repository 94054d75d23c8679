"""The keyboards of the main menu and of the avatar menu."""

from __future__ import annotations

from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup

from avatar_bot.locales import ru

CREATE_AVATAR = "create_avatar"
MAIN_HELP = "main_help"
BACK_TO_MAIN = "back_to_main"


def column(*buttons: tuple[str, str]) -> InlineKeyboardMarkup:
    """Return a keyboard of (text, callback data) buttons below each other."""
    rows = [[InlineKeyboardButton(text=text, callback_data=data)] for text, data in buttons]
    return InlineKeyboardMarkup(inline_keyboard=rows)


def main_menu() -> InlineKeyboardMarkup:
    """Return the buttons under the greeting."""
    return column((ru.CREATE_AVATAR, CREATE_AVATAR), (ru.HELP_BUTTON, MAIN_HELP))


def avatar_menu() -> InlineKeyboardMarkup:
    """Return the buttons of the avatar menu."""
    return column((ru.BACK_TO_MAIN, BACK_TO_MAIN))
