"""The keyboards of an avatar's life: creation, photos, training, gallery."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avatar_bot.keyboards.buttons import Action, AvatarButton, Choice, GalleryPage, column, lines
from avatar_bot.keyboards.main import BACK_TO_MAIN, CREATE_AVATAR, NEW_AVATAR
from avatar_bot.models import AvatarGender, AvatarStatus, AvatarType

if TYPE_CHECKING:
    from aiogram.types import InlineKeyboardMarkup

    from avatar_bot.locales import Texts
    from avatar_bot.views import AvatarCard

CANCEL = "cancel"
GENDER, TYPE = "gender", "type"


def cancel(texts: Texts) -> InlineKeyboardMarkup:
    """Return the way out."""
    return column((texts.CANCEL, CANCEL))


def genders(texts: Texts) -> InlineKeyboardMarkup:
    """Return the answers to whose portrait it is."""
    return lines(
        [
            (texts.FEMALE, _choice(GENDER, AvatarGender.FEMALE.value)),
            (texts.MALE, _choice(GENDER, AvatarGender.MALE.value)),
        ],
        [(texts.CANCEL, CANCEL)],
    )


def types(texts: Texts) -> InlineKeyboardMarkup:
    """Return the answers to which kind of avatar it is."""
    return column(
        (texts.PORTRAIT, _choice(TYPE, AvatarType.PORTRAIT.value)),
        (texts.STYLE, _choice(TYPE, AvatarType.STYLE.value)),
        (texts.CANCEL, CANCEL),
    )


def photos(texts: Texts, avatar_id: int) -> InlineKeyboardMarkup:
    """Return the buttons while photos are sent."""
    return column((texts.PHOTOS_DONE, act(Action.DONE, avatar_id)), (texts.CANCEL, CANCEL))


def confirm_training(texts: Texts, avatar_id: int) -> InlineKeyboardMarkup:
    """Return the buttons before paying."""
    return column(
        (texts.START_TRAINING, act(Action.PAY, avatar_id)),
        (texts.ADD_PHOTOS, act(Action.PHOTOS, avatar_id)),
        (texts.BACK_TO_MAIN, BACK_TO_MAIN),
    )


def after_training(texts: Texts) -> InlineKeyboardMarkup:
    """Return the buttons under what a training has ended with."""
    return column((texts.GALLERY, GalleryPage(page=0).pack()), (texts.BACK_TO_MAIN, BACK_TO_MAIN))


def empty_gallery(texts: Texts) -> InlineKeyboardMarkup:
    """Return the buttons of a gallery without avatars."""
    return column((texts.NEW_AVATAR, NEW_AVATAR), (texts.BACK, CREATE_AVATAR))


def card(texts: Texts, avatar: AvatarCard, page: int, total: int) -> InlineKeyboardMarkup:
    """Return the buttons under an avatar in the gallery."""
    number = avatar.id
    turn = [("◀️", _page(page - 1, total)), ("▶️", _page(page + 1, total))] if total > 1 else []
    work = [(texts.SOURCE_PHOTOS, act(Action.SOURCES, number, page))] if avatar.photos else []
    if avatar.status in (AvatarStatus.DRAFT, AvatarStatus.FAILED):
        work.append((texts.TRAIN, act(Action.DONE, number, page)))
    main = [] if avatar.is_main else [(texts.MAKE_MAIN, act(Action.MAIN, number, page))]
    rename = (texts.RENAME, act(Action.RENAME, number, page))
    delete = (texts.DELETE, act(Action.DELETE, number, page))
    return lines(turn, *([key] for key in work), main, [rename, delete], [_back(texts)])


def really_delete(texts: Texts, avatar_id: int, page: int) -> InlineKeyboardMarkup:
    """Return the buttons of the question before deleting."""
    return column(
        (texts.REALLY_DELETE, act(Action.REALLY_DELETE, avatar_id, page)),
        (texts.BACK, GalleryPage(page=page).pack()),
    )


def act(action: Action, avatar_id: int, page: int = 0) -> str:
    """Return the callback data of an action."""
    return AvatarButton(action=action, avatar_id=avatar_id, page=page).pack()


def _choice(question: str, answer: str) -> str:
    return Choice(question=question, answer=answer).pack()


def _page(page: int, total: int) -> str:
    return GalleryPage(page=page % total).pack()


def _back(texts: Texts) -> tuple[str, str]:
    return texts.BACK_TO_MAIN, BACK_TO_MAIN
