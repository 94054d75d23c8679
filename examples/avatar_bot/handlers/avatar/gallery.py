"""The gallery: one avatar a page, with its picture and what can be done with it.

Like `create.py`, this module works in the scope of `ScopeMiddleware`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiogram import F, Router
from aiogram.types import InputMediaPhoto

from avatar_bot.handlers.avatar.create import clean_name
from avatar_bot.handlers.screen import show_picture, show_screen
from avatar_bot.keyboards import avatar as keyboards
from avatar_bot.keyboards.buttons import Action, AvatarButton, GalleryPage
from avatar_bot.pictures import paint_placeholder
from avatar_bot.services import AvatarService
from avatar_bot.services.avatar import AvatarBusyError
from avatar_bot.states import Rename
from sqla_safe import AsyncScope
from sqla_safe.ext.aiogram import ScopeMiddleware

if TYPE_CHECKING:
    from aiogram.fsm.context import FSMContext
    from aiogram.types import CallbackQuery, Message
    from sqlalchemy.ext.asyncio import AsyncSession

    from avatar_bot.engine import Sessions
    from avatar_bot.locales import Texts


async def open_page(
    callback: CallbackQuery,
    callback_data: GalleryPage,
    avatars: AvatarService,
    scope: AsyncScope[AsyncSession],
    texts: Texts,
) -> None:
    """Show one avatar; an empty gallery invites to make the first one."""
    await show_page(callback, callback_data.page, avatars, scope, texts)


async def show_page(
    callback: CallbackQuery,
    page: int,
    avatars: AvatarService,
    scope: AsyncScope[AsyncSession],
    texts: Texts,
    notice: str = "",
) -> None:
    """Turn the pressed message into a page of the gallery."""
    avatar, total = await avatars.get_page(callback.from_user.id, page)
    if avatar is None:
        await scope.commit()
        await show_screen(callback, texts.NO_AVATARS, keyboards.empty_gallery(texts), notice)
        return
    await scope.commit()  # the picture may take Telegram a while
    picture = avatar.picture or await asyncio.to_thread(paint_placeholder, avatar.name, avatar.id)
    caption = texts.avatar_card(avatar, page % total + 1, total)
    keyboard = keyboards.card(texts, avatar, page, total)
    await show_picture(callback, picture, caption, keyboard, notice)


async def make_main(
    callback: CallbackQuery,
    callback_data: AvatarButton,
    avatars: AvatarService,
    scope: AsyncScope[AsyncSession],
    texts: Texts,
) -> None:
    """Make the shown avatar the main one."""
    avatar = await avatars.get_avatar(callback.from_user.id, callback_data.avatar_id)
    if avatar is None:
        await callback.answer(texts.UNKNOWN_AVATAR, show_alert=True)
        return
    await avatars.make_main(avatar)
    await show_page(callback, callback_data.page, avatars, scope, texts, texts.NOW_MAIN)


async def ask_new_name(
    callback: CallbackQuery, callback_data: AvatarButton, state: FSMContext, texts: Texts
) -> None:
    """Wait for a new name."""
    await state.set_state(Rename.name)
    await state.set_data({"avatar_id": callback_data.avatar_id, "page": callback_data.page})
    await show_screen(callback, texts.ASK_NEW_NAME, keyboards.cancel(texts))


async def take_new_name(
    message: Message,
    avatars: AvatarService,
    scope: AsyncScope[AsyncSession],
    state: FSMContext,
    texts: Texts,
) -> None:
    """Store the new name, and tell once it is stored."""
    name = clean_name(message.text)
    if name is None:
        await message.answer(texts.BAD_NAME, reply_markup=keyboards.cancel(texts))
        return
    avatar = await avatars.lock_avatar(message.chat.id, (await state.get_data())["avatar_id"])
    if avatar is not None:
        avatar.name = name
    text = texts.UNKNOWN_AVATAR if avatar is None else texts.renamed(name)
    await state.clear()
    scope.on_commit(lambda: message.answer(text, reply_markup=keyboards.after_training(texts)))


async def ask_delete(
    callback: CallbackQuery,
    callback_data: AvatarButton,
    avatars: AvatarService,
    scope: AsyncScope[AsyncSession],
    texts: Texts,
) -> None:
    """Ask before deleting."""
    avatar = await avatars.get_avatar(callback.from_user.id, callback_data.avatar_id)
    if avatar is None:
        await callback.answer(texts.UNKNOWN_AVATAR, show_alert=True)
        return
    text, keyboard = (
        texts.really_delete(avatar.name),
        keyboards.really_delete(texts, avatar.id, callback_data.page),
    )
    await scope.commit()
    await show_screen(callback, text, keyboard)


async def delete(
    callback: CallbackQuery,
    callback_data: AvatarButton,
    avatars: AvatarService,
    scope: AsyncScope[AsyncSession],
    texts: Texts,
) -> None:
    """Delete an avatar and show what is left."""
    avatar = await avatars.lock_avatar(callback.from_user.id, callback_data.avatar_id)
    try:
        if avatar is not None:
            await avatars.delete_avatar(avatar)
    except AvatarBusyError:
        await callback.answer(texts.BUSY, show_alert=True)
        return
    await show_page(callback, 0, avatars, scope, texts, texts.DELETED)


async def send_sources(
    callback: CallbackQuery,
    callback_data: AvatarButton,
    avatars: AvatarService,
    scope: AsyncScope[AsyncSession],
    texts: Texts,
) -> None:
    """Send the photos that an avatar was made from, as an album."""
    avatar = await avatars.get_avatar(callback.from_user.id, callback_data.avatar_id)
    files = [photo.file_id for photo in avatar.photos] if avatar else []
    await scope.commit()
    if not files or callback.message is None:
        await callback.answer(texts.NO_PHOTOS, show_alert=True)
    elif len(files) == 1:
        await callback.message.answer_photo(files[0])
        await callback.answer()
    else:
        await callback.message.answer_media_group([InputMediaPhoto(media=file) for file in files])
        await callback.answer()


def create_router(sessions: Sessions) -> Router:
    """Return a router with the handlers of this module."""
    router = Router(name="gallery")
    middleware = ScopeMiddleware(sessions, AvatarService)
    router.callback_query.outer_middleware(middleware)
    router.message.outer_middleware(middleware)
    pressed = router.callback_query.register
    pressed(open_page, GalleryPage.filter())
    pressed(make_main, AvatarButton.filter(F.action == Action.MAIN))
    pressed(ask_new_name, AvatarButton.filter(F.action == Action.RENAME))
    pressed(ask_delete, AvatarButton.filter(F.action == Action.DELETE))
    pressed(delete, AvatarButton.filter(F.action == Action.REALLY_DELETE))
    pressed(send_sources, AvatarButton.filter(F.action == Action.SOURCES))
    router.message.register(take_new_name, Rename.name)
    return router
