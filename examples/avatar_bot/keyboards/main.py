"""The keyboards of the main menu and of the avatar menu."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avatar_bot.keyboards.buttons import GalleryPage, column

if TYPE_CHECKING:
    from aiogram.types import InlineKeyboardMarkup

    from avatar_bot.locales import Texts

CREATE_AVATAR = "create_avatar"
NEW_AVATAR = "new_avatar"
MAIN_HELP = "main_help"
BACK_TO_MAIN = "back_to_main"


def main_menu(texts: Texts) -> InlineKeyboardMarkup:
    """Return the buttons under the greeting."""
    return column(
        (texts.CREATE_AVATAR, CREATE_AVATAR),
        (texts.GALLERY, GalleryPage(page=0).pack()),
        (texts.HELP_BUTTON, MAIN_HELP),
    )


def avatar_menu(texts: Texts) -> InlineKeyboardMarkup:
    """Return the buttons of the avatar menu."""
    return column(
        (texts.NEW_AVATAR, NEW_AVATAR),
        (texts.GALLERY, GalleryPage(page=0).pack()),
        (texts.BACK_TO_MAIN, BACK_TO_MAIN),
    )
