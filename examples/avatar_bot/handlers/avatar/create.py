"""A new avatar: name, gender, type, with a way out at each step.

The handlers of this module run in the scope of `ScopeMiddleware`, and take their services as
arguments. `scope.commit()` stores what is done and gives the connection back before Telegram is
called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiogram import F, Router
from aiogram.filters import StateFilter

from avatar_bot.handlers.screen import show_screen
from avatar_bot.keyboards import avatar as keyboards
from avatar_bot.keyboards.buttons import Choice
from avatar_bot.keyboards.main import NEW_AVATAR, avatar_menu
from avatar_bot.models import AvatarGender, AvatarType
from avatar_bot.services import AvatarService, UserService
from avatar_bot.services.avatar import MAX_PHOTOS, MIN_PHOTOS
from avatar_bot.services.training import PRICE
from avatar_bot.states import CreateAvatar, PhotoUpload, Rename
from sqla_safe import AsyncScope
from sqla_safe.ext.aiogram import ScopeMiddleware

if TYPE_CHECKING:
    from aiogram.fsm.context import FSMContext
    from aiogram.types import CallbackQuery, Message
    from sqlalchemy.ext.asyncio import AsyncSession

    from avatar_bot.engine import Sessions
    from avatar_bot.locales import Texts

NAME_LENGTH = 32


async def ask_name(
    callback: CallbackQuery,
    users: UserService,
    scope: AsyncScope[AsyncSession],
    state: FSMContext,
    texts: Texts,
) -> None:
    """Begin a new avatar."""
    user = await users.get_user_by_telegram_id(callback.from_user.id)
    if user is None:
        await callback.answer(texts.UNKNOWN_USER, show_alert=True)
        return
    text = texts.ask_name(await users.get_user_balance(user.id), PRICE)
    await scope.commit()
    await state.clear()
    await state.set_state(CreateAvatar.name)
    await show_screen(callback, text, keyboards.cancel(texts))


def clean_name(text: str | None) -> str | None:
    """Return the name that a person has written; None when it is none."""
    name = (text or "").strip()
    is_fine = 0 < len(name) <= NAME_LENGTH and name.isprintable() and not name.startswith("/")
    return name if is_fine else None


async def take_name(message: Message, state: FSMContext, texts: Texts) -> None:
    """Keep the name and ask for the gender."""
    name = clean_name(message.text)
    if name is None:
        await message.answer(texts.BAD_NAME, reply_markup=keyboards.cancel(texts))
        return
    await state.update_data(name=name)
    await state.set_state(CreateAvatar.gender)
    await message.answer(texts.ASK_GENDER, reply_markup=keyboards.genders(texts))


async def take_gender(
    callback: CallbackQuery, callback_data: Choice, state: FSMContext, texts: Texts
) -> None:
    """Keep the gender and ask for the type."""
    await state.update_data(gender=AvatarGender(callback_data.answer).value)
    await state.set_state(CreateAvatar.type)
    await show_screen(callback, texts.ASK_TYPE, keyboards.types(texts))


async def take_type(
    callback: CallbackQuery,
    callback_data: Choice,
    users: UserService,
    avatars: AvatarService,
    scope: AsyncScope[AsyncSession],
    state: FSMContext,
    texts: Texts,
) -> None:
    """Store the avatar and ask for photos."""
    user = await users.get_user_by_telegram_id(callback.from_user.id)
    data = await state.get_data()
    if user is None or not {"name", "gender"} <= data.keys():
        text = texts.UNKNOWN_USER if user is None else texts.OLD_BUTTON
        await callback.answer(text, show_alert=True)
        return
    gender, kind = AvatarGender(data["gender"]), AvatarType(callback_data.answer)
    avatar = await avatars.create_avatar(user.id, data["name"], gender, kind, origin(callback))
    avatar_id = avatar.id
    await scope.commit()
    await state.set_data({"avatar_id": avatar_id})
    await state.set_state(PhotoUpload.waiting)
    text = texts.ask_photos(data["name"], 0, MIN_PHOTOS, MAX_PHOTOS)
    await show_screen(callback, text, keyboards.photos(texts, avatar_id))


def origin(callback: CallbackQuery) -> str | None:
    """Return what two presses on one message have in common, also at the same moment."""
    message = callback.message
    return message and f"{message.chat.id}:{message.message_id}:{message.date!s}"


async def cancel(
    callback: CallbackQuery,
    users: UserService,
    avatars: AvatarService,
    scope: AsyncScope[AsyncSession],
    state: FSMContext,
    texts: Texts,
) -> None:
    """Leave whatever was going on, for the avatar menu."""
    await state.clear()
    user = await users.get_user_by_telegram_id(callback.from_user.id)
    if user is None:
        await callback.answer(texts.UNKNOWN_USER, show_alert=True)
        return
    balance, count = await users.get_user_balance(user.id), await avatars.count_avatars(user.id)
    await scope.commit()
    text = texts.avatar_menu(balance, count, PRICE)
    await show_screen(callback, text, avatar_menu(texts), texts.CANCELLED)


async def want_button(message: Message, texts: Texts) -> None:
    """Point at the buttons when somebody writes instead."""
    await message.answer(texts.USE_BUTTONS)


def create_router(sessions: Sessions) -> Router:
    """Return a router with the handlers of this module."""
    router = Router(name="create")
    router.callback_query.outer_middleware(ScopeMiddleware(sessions, UserService, AvatarService))
    pressed = router.callback_query.register
    pressed(ask_name, F.data == NEW_AVATAR)
    gender = Choice.filter(F.question == keyboards.GENDER)
    pressed(take_gender, CreateAvatar.gender, gender)
    pressed(take_type, CreateAvatar.type, Choice.filter(F.question == keyboards.TYPE))
    steps = StateFilter(CreateAvatar, PhotoUpload, Rename)
    pressed(cancel, steps, F.data == keyboards.CANCEL)
    router.message.register(take_name, CreateAvatar.name)
    router.message.register(want_button, StateFilter(CreateAvatar.gender, CreateAvatar.type))
    return router
