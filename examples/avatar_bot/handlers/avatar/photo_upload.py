"""The photos of an avatar: checked, stored one by one, answered album by album."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from aiogram import F, Router

from avatar_bot.handlers.avatar.albums import album_of
from avatar_bot.handlers.screen import show_screen
from avatar_bot.keyboards import avatar as keyboards
from avatar_bot.keyboards.buttons import Action, AvatarButton
from avatar_bot.services import AlbumService, AvatarService
from avatar_bot.services.avatar import (
    MAX_PHOTOS,
    MIN_PHOTOS,
    AvatarBusyError,
    DuplicatePhotoError,
    TooManyPhotosError,
)
from avatar_bot.states import PhotoUpload
from sqla_safe import asnapshot, scoped_services

if TYPE_CHECKING:
    from aiogram.fsm.context import FSMContext
    from aiogram.types import CallbackQuery, Message

    from avatar_bot.engine import Sessions
    from avatar_bot.handlers.avatar.albums import Albums
    from avatar_bot.locales import Texts
    from avatar_bot.models import Avatar

MIN_SIDE = 320
ADDED, SMALL, REPEATED, EXTRA, BUSY, GONE = "added", "small", "repeated", "extra", "busy", "gone"
ANSWERS = {AvatarBusyError: BUSY, DuplicatePhotoError: REPEATED, TooManyPhotosError: EXTRA}


class Place(NamedTuple):
    """Whose avatar a photo is for."""

    telegram_id: int
    avatar_id: int


async def ask_photos(
    callback: CallbackQuery,
    callback_data: AvatarButton,
    sessions: Sessions,
    state: FSMContext,
    texts: Texts,
) -> None:
    """Show how many photos an avatar has, and wait for more."""
    avatar = await load(Place(callback.from_user.id, callback_data.avatar_id), sessions)
    if avatar is None:
        await callback.answer(texts.UNKNOWN_AVATAR, show_alert=True)
        return
    await state.set_state(PhotoUpload.waiting)
    await state.set_data({"avatar_id": avatar.id})
    await show_screen(callback, progress(avatar, texts), keyboards.photos(texts, avatar.id))


async def load(place: Place, sessions: Sessions) -> Avatar | None:
    """Return a snapshot of an avatar with its photos."""
    async with scoped_services(sessions, AvatarService) as avatars:
        avatar = await avatars.get_avatar(*place)
        return None if avatar is None else await asnapshot(avatar)


def progress(avatar: Avatar, texts: Texts) -> str:
    """Return the screen that asks for photos."""
    return texts.ask_photos(avatar.name, len(avatar.photos), MIN_PHOTOS, MAX_PHOTOS)


async def take_photo(
    message: Message, sessions: Sessions, state: FSMContext, albums: Albums, texts: Texts
) -> None:
    """Store a photo and answer; the photos of an album are answered together."""
    place = Place(message.chat.id, (await state.get_data()).get("avatar_id", 0))
    if message.media_group_id is None:
        results = Counter([await _store(place, message, sessions)])
    else:
        album = album_of(message)
        results = await albums.collect(album, _store_part(place, message, sessions, album))
    if results is not None:
        await _answer(message, place, results, sessions, texts)


async def _store(place: Place, message: Message, sessions: Sessions) -> str:
    """Store a photo if it is fit for use; return what became of it."""
    async with scoped_services(sessions, AvatarService) as avatars:
        return await _add(place, message, avatars)


async def _store_part(place: Place, message: Message, sessions: Sessions, album: str) -> int:
    """Store a photo of an album, and what became of it, together; return the part's number."""
    async with scoped_services(sessions, AlbumService) as albums:
        return await albums.add(album, await _store(place, message, sessions))


async def _add(place: Place, message: Message, avatars: AvatarService) -> str:
    """Add a photo to its avatar, in the order of the messages; return what became of it."""
    photo = message.photo[-1]
    if min(photo.width, photo.height) < MIN_SIDE:
        return SMALL
    avatar = await avatars.lock_avatar(*place)
    if avatar is None:
        return GONE
    try:
        order = message.message_id
        await avatars.add_photo(avatar, photo.file_id, photo.file_unique_id, order)
    except tuple(ANSWERS) as error:
        return ANSWERS[type(error)]
    return ADDED


async def _answer(
    message: Message, place: Place, results: Counter[str], sessions: Sessions, texts: Texts
) -> None:
    """Tell how many photos there are now, and which were not taken."""
    avatar = await load(place, sessions)
    if avatar is None:
        await message.answer(texts.UNKNOWN_AVATAR)
        return
    refused = texts.photos_refused(
        results[SMALL], results[REPEATED], results[EXTRA], MAX_PHOTOS, MIN_SIDE
    )
    busy = texts.BUSY if results[BUSY] else ""
    text = "\n\n".join(filter(None, (refused, busy, progress(avatar, texts))))
    await message.answer(text, reply_markup=keyboards.photos(texts, place.avatar_id))


async def want_photo(message: Message, texts: Texts) -> None:
    """Tell whoever sends something else what is expected."""
    await message.answer(texts.PHOTO_AS_FILE if message.document else texts.PHOTO_WANTED)


def create_router() -> Router:
    """Return a router with the handlers of this module."""
    router = Router(name="photo_upload")
    router.callback_query.register(ask_photos, AvatarButton.filter(F.action == Action.PHOTOS))
    router.message.register(take_photo, PhotoUpload.waiting, F.photo)
    router.message.register(want_photo, PhotoUpload.waiting)
    return router
