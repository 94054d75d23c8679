"""The training of an avatar: paid and stored in one transaction, then left to a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from aiogram import F, Router

from avatar_bot.handlers.screen import show_screen
from avatar_bot.keyboards import avatar as keyboards
from avatar_bot.keyboards.buttons import Action, AvatarButton, column
from avatar_bot.models import Avatar, AvatarStatus
from avatar_bot.services import AvatarService, TrainingService, UserService
from avatar_bot.services.avatar import MIN_PHOTOS, AvatarBusyError
from avatar_bot.services.training import (
    PRICE,
    AlreadyTrainedError,
    PaidBeforeError,
    TooFewPhotosError,
)
from avatar_bot.services.user import NotEnoughCoinsError
from avatar_bot.states import PhotoUpload
from sqla_safe import asnapshot, current_scope, inject, scoped_services

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiogram.fsm.context import FSMContext
    from aiogram.types import CallbackQuery

    from avatar_bot.engine import Sessions
    from avatar_bot.locales import Texts

TRAININGS = inject(TrainingService)
STEPS = 10


class UnknownAvatarError(LookupError):
    """The person has no such avatar."""


REFUSALS: dict[type[Exception], str] = {
    AlreadyTrainedError: "ALREADY_TRAINED",
    AvatarBusyError: "BUSY",
    PaidBeforeError: "OLD_BUTTON",
    UnknownAvatarError: "UNKNOWN_AVATAR",
}


class Offer(NamedTuple):
    """What is asked before paying: a snapshot, and the coins."""

    avatar: Avatar
    balance: int


async def load_offer(telegram_id: int, avatar_id: int, sessions: Sessions) -> Offer | None:
    """Return what the question shows; None when there is no such avatar."""
    async with scoped_services(sessions, UserService, AvatarService) as (users, avatars):
        avatar = await avatars.get_avatar(telegram_id, avatar_id)
        if avatar is None:
            return None
        return Offer(await asnapshot(avatar), await users.get_user_balance(avatar.user_id))


async def confirm(
    callback: CallbackQuery,
    callback_data: AvatarButton,
    sessions: Sessions,
    state: FSMContext,
    texts: Texts,
) -> None:
    """Ask whether to pay, once there are enough photos."""
    offer = await load_offer(callback.from_user.id, callback_data.avatar_id, sessions)
    if offer is None:
        await callback.answer(texts.UNKNOWN_AVATAR, show_alert=True)
        return
    if offer.avatar.status is AvatarStatus.READY:
        await callback.answer(texts.ALREADY_TRAINED, show_alert=True)
        return
    count = len(offer.avatar.photos)
    if count < MIN_PHOTOS and await state.get_state() == PhotoUpload.waiting.state:
        await callback.answer(texts.too_few_photos(count, MIN_PHOTOS), show_alert=True)
        return
    await state.clear()
    text = texts.confirm_training(offer.avatar.name, count, PRICE, offer.balance)
    await show_screen(callback, text, keyboards.confirm_training(texts, offer.avatar.id))


class Order(NamedTuple):
    """Who wants which avatar trained, and the message that is to show the progress."""

    telegram_id: int
    avatar_id: int
    message_id: int | None


async def pay(
    callback: CallbackQuery,
    callback_data: AvatarButton,
    sessions: Sessions,
    wake: Callable[[], None],
    texts: Texts,
) -> None:
    """Charge the user and start the training."""
    message_id = callback.message.message_id if callback.message else None
    order = Order(callback.from_user.id, callback_data.avatar_id, message_id)
    name, refusal = await _start(order, sessions, wake, texts)
    if refusal:
        await callback.answer(refusal, show_alert=True)
        return
    await show_screen(callback, texts.training_progress(name, 0, STEPS), column())


async def _start(
    order: Order, sessions: Sessions, wake: Callable[[], None], texts: Texts
) -> tuple[str, str]:
    """Return the avatar's name and, if nothing was started, why."""
    try:
        return await start_training(order, sessions, wake), ""
    except TooFewPhotosError as error:
        return "", texts.too_few_photos(error.count, MIN_PHOTOS)
    except NotEnoughCoinsError as error:
        return "", texts.not_enough_coins(PRICE, error.balance)
    except tuple(REFUSALS) as error:
        return "", getattr(texts, REFUSALS[type(error)])


async def start_training(order: Order, sessions: Sessions, wake: Callable[[], None]) -> str:
    """Store the training and its charge together; the worker hears of it once that is done."""
    async with scoped_services(sessions, AvatarService, TRAININGS) as (avatars, trainings):
        avatar = await avatars.lock_avatar(order.telegram_id, order.avatar_id)
        if avatar is None:
            raise UnknownAvatarError
        current_scope(sessions).on_commit(wake)
        await trainings.start(avatar, order.telegram_id, order.message_id)
        return avatar.name


def create_router() -> Router:
    """Return a router with the handlers of this module."""
    router = Router(name="training_production")
    router.callback_query.register(confirm, AvatarButton.filter(F.action == Action.DONE))
    router.callback_query.register(pay, AvatarButton.filter(F.action == Action.PAY))
    return router
