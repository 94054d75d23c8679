"""Trainings: started and paid in one transaction, worked on by one worker at a time, ended once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select, update
from sqlalchemy.orm import joinedload

from avatar_bot.models import (
    Avatar,
    AvatarStatus,
    Training,
    TrainingStatus,
    TransactionKind,
)
from avatar_bot.services.avatar import MIN_PHOTOS, AvatarBusyError
from avatar_bot.services.user import UserService

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

PRICE = 150


class TooFewPhotosError(Exception):
    """The avatar has fewer photos than a training needs: `count`."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count


class AlreadyTrainedError(Exception):
    """The avatar is ready: whoever presses an old button is not charged again."""


class PaidBeforeError(Exception):
    """This button has started a training before, which has failed since."""


class LostTrainingError(Exception):
    """Another worker has taken the training over, or it was deleted."""


class TrainingService:
    """Starts trainings, and lets a worker carry them on."""

    def __init__(self, session: AsyncSession, users: UserService) -> None:
        self.session = session
        self.users = users

    async def start(self, avatar: Avatar, chat_id: int, message_id: int | None) -> Training:
        """Charge the user and store the training, for an avatar that the caller has locked.

        Raises:
            AvatarBusyError: It is in training already.
            AlreadyTrainedError: It has been trained.
            PaidBeforeError: The message has shown a training before.
            TooFewPhotosError: It has fewer than `MIN_PHOTOS`.
            NotEnoughCoinsError: The user cannot pay.
        """
        _refuse(avatar.status)
        if await self._has_shown(avatar.id, chat_id, message_id):
            raise PaidBeforeError
        if len(avatar.photos) < MIN_PHOTOS:
            raise TooFewPhotosError(len(avatar.photos))
        avatar.status = AvatarStatus.TRAINING
        training = Training(
            avatar=avatar,
            user_id=avatar.user_id,
            chat_id=chat_id,
            message_id=message_id,
            price=PRICE,
        )
        self.session.add(training)
        await self.session.flush()
        await self.users.spend(avatar.user_id, PRICE, training.id)
        return training

    async def _has_shown(self, avatar_id: int, chat_id: int, message_id: int | None) -> bool:
        """Tell whether a message has shown a training of this avatar before."""
        before = select(Training.id).where(
            Training.avatar_id == avatar_id,
            Training.chat_id == chat_id,
            Training.message_id == message_id,
        )
        return await self.session.scalar(before.limit(1)) is not None

    async def claim(self, worker: str, now: float, lease: float) -> Training | None:
        """Take over a training that nobody works on and whose end was not announced."""
        free = (
            select(Training.id)
            .where(Training.announced.is_(False), Training.lease_until < now)
            .order_by(Training.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        training_id = await self.session.scalar(free)
        if training_id is None:
            return None
        held = update(Training).where(Training.id == training_id)
        await self.session.execute(held.values(worker=worker, lease_until=now + lease))
        return await self.held(training_id, worker)

    async def held(self, training_id: int, worker: str) -> Training:
        """Return a training that this worker holds, with avatar, photos and user.

        Raises:
            LostTrainingError: It is not this worker's any more.
        """
        statement = (
            select(Training)
            .where(Training.id == training_id, Training.worker == worker)
            .options(
                joinedload(Training.avatar).selectinload(Avatar.photos), joinedload(Training.user)
            )
            .with_for_update(of=Training)
            .execution_options(populate_existing=True)
        )
        training = await self.session.scalar(statement)
        if training is None:
            raise LostTrainingError
        return training

    async def finish(self, training: Training, picture: bytes) -> None:
        """Store the picture and end the training well, if it still runs."""
        if training.status is TrainingStatus.RUNNING:
            training.status = TrainingStatus.DONE
            training.avatar.status = AvatarStatus.READY
            training.avatar.picture = picture
            await self.session.flush()

    async def fail(self, training: Training) -> None:
        """End the training and give the coins back, if it still runs."""
        if training.status is TrainingStatus.RUNNING:
            training.status = TrainingStatus.FAILED
            training.avatar.status = AvatarStatus.FAILED
            await self.users.add_coins(
                training.user_id, training.price, TransactionKind.REFUND, training.id
            )


def _refuse(status: AvatarStatus) -> None:
    if status is AvatarStatus.TRAINING:
        raise AvatarBusyError
    if status is AvatarStatus.READY:
        raise AlreadyTrainedError
