"""The worker: carries trainings to their end, in scopes of its own, through restarts and failures.

A training is a row. The worker claims it for a few seconds, does one step, stores it, renews its
claim and shows the progress. Whatever kills the worker, the claim runs out, and the next one goes
on from the stored step. The end is stored once, and told until that was stored too.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from contextlib import suppress
from io import BytesIO
from typing import TYPE_CHECKING
from uuid import uuid4

from aiogram.exceptions import (
    TelegramAPIError,
    TelegramBadRequest,
    TelegramForbiddenError,
    TelegramNetworkError,
    TelegramRetryAfter,
    TelegramServerError,
)
from aiogram.types import BufferedInputFile
from aiohttp import ClientConnectionError, ClientPayloadError
from sqlalchemy.exc import SQLAlchemyError

from avatar_bot.handlers.avatar.training_production import STEPS, TRAININGS
from avatar_bot.keyboards.avatar import after_training
from avatar_bot.locales import texts_for
from avatar_bot.models import Avatar, Training, TrainingStatus
from avatar_bot.pictures import paint_avatar
from avatar_bot.services.training import LostTrainingError
from sqla_safe import SqlaSafeError, asnapshot, is_retryable, scoped_services

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiogram import Bot

    from avatar_bot.engine import Sessions
    from avatar_bot.services import TrainingService

log = logging.getLogger(__name__)

LATER = (
    SQLAlchemyError,
    SqlaSafeError,
    OSError,
    ClientConnectionError,
    ClientPayloadError,
    TelegramNetworkError,
    TelegramRetryAfter,
    TelegramServerError,
)
"""What is nobody's fault and passes: the database or Telegram cannot be reached."""


def passes(error: Exception) -> bool:
    """Say whether to wait and try again.

    Asked of `is_retryable` is what a driver raises by itself: with SQLAlchemy 2.0, asyncpg while
    its server starts.
    """
    return isinstance(error, LATER) or is_retryable(error)


class Trainer:
    """Works on trainings, a few at a time."""

    def __init__(
        self,
        bot: Bot,
        sessions: Sessions,
        *,
        step_seconds: float = 0.8,
        lease_seconds: float = 15.0,
        lanes: int = 3,
        idle_seconds: float = 2.0,
    ) -> None:
        self.bot = bot
        self.sessions = sessions
        self.step_seconds = step_seconds
        self.lease_seconds = lease_seconds
        self.lanes = lanes
        self.idle_seconds = idle_seconds
        self._news = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Look for trainings now and not after a while."""
        self._news.set()

    def start(self) -> None:
        """Begin to work in the background."""
        self._running = asyncio.create_task(self.run(), name="trainer")

    async def stop(self) -> None:
        """Stop; what was not finished goes on at the next start."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
            self._running = None

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self.lanes):
                group.create_task(self._lane())

    async def _lane(self) -> None:
        while True:
            try:
                is_idle = not await self.work_once()
            except Exception as error:
                if not passes(error):
                    raise
                log.warning("A training has to wait: %s", type(error).__name__)
                is_idle = True
            if is_idle:
                await self._rest()

    async def _rest(self) -> None:
        self._news.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(self.idle_seconds):
                await self._news.wait()

    async def work_once(self) -> bool:
        """Take one training as far as possible; return whether there was one."""
        worker = _new_mark()
        training = await self._claim(worker)
        if training is None:
            return False
        with suppress(LostTrainingError):
            await self._carry_on(training, worker)
        return True

    async def _claim(self, worker: str) -> Training | None:
        async with scoped_services(self.sessions, TRAININGS) as trainings:
            training = await trainings.claim(worker, time.time(), self.lease_seconds)
            return None if training is None else await asnapshot(training, Avatar.picture)

    async def _carry_on(self, training: Training, worker: str) -> None:
        try:
            training = await self._train(training, worker)
        except LostTrainingError:
            raise
        except Exception as error:
            if passes(error):
                raise
            log.exception("Training %s failed", training.id)
            training = await self._store(training, worker, lambda t, row: t.fail(row))
        await self._announce(training)
        await self._store(training, worker, _set_announced)

    async def _train(self, training: Training, worker: str) -> Training:
        """Do the steps that are left, then paint; return how the training stands then."""
        while training.status is TrainingStatus.RUNNING and training.progress < STEPS:
            await asyncio.sleep(self.step_seconds)
            training = await self._store(training, worker, self._set_step)
            await self._show_progress(training)
        if training.status is not TrainingStatus.RUNNING:
            return training
        picture = await self._paint(training)
        return await self._store(training, worker, lambda t, row: t.finish(row, picture))

    async def _store(
        self,
        training: Training,
        worker: str,
        change: Callable[[TrainingService, Training], Awaitable[None]],
    ) -> Training:
        """Change the row in a scope, if it is still ours; return it as it is then."""
        async with scoped_services(self.sessions, TRAININGS) as trainings:
            row = await trainings.held(training.id, worker)
            await change(trainings, row)
            await trainings.session.flush()
            return await asnapshot(row, Avatar.picture)

    async def _set_step(self, _trainings: TrainingService, row: Training) -> None:
        row.progress += 1
        row.lease_until = time.time() + self.lease_seconds

    async def _paint(self, training: Training) -> bytes:
        """Make the picture from the first photo."""
        avatar = training.avatar
        await self._say_uploading(training)
        file = BytesIO()
        await self.bot.download(avatar.photos[0].file_id, file)
        data = file.getvalue()
        return await asyncio.to_thread(paint_avatar, avatar.name, avatar.id, data, avatar.type)

    async def _say_uploading(self, training: Training) -> None:
        with suppress(TelegramAPIError):
            await self.bot.send_chat_action(training.chat_id, "upload_photo")

    async def _show_progress(self, training: Training) -> None:
        """Edit the message that shows the progress; it may be gone, and that stops nothing."""
        texts = texts_for(training.user.language_code)
        text = texts.training_progress(training.avatar.name, training.progress, STEPS)
        with suppress(TelegramAPIError):
            await self.bot.edit_message_text(
                text, chat_id=training.chat_id, message_id=training.message_id
            )

    async def _announce(self, training: Training) -> None:
        """Send how it ended. Who has blocked the bot, or is gone, misses it."""
        try:
            await self._send_end(training)
        except (TelegramForbiddenError, TelegramBadRequest) as error:
            log.info("Nobody hears of training %s: %s", training.id, type(error).__name__)

    async def _send_end(self, training: Training) -> None:
        texts = texts_for(training.user.language_code)
        name, buttons = training.avatar.name, after_training(texts)
        if training.status is TrainingStatus.DONE and training.avatar.picture:
            file = BufferedInputFile(training.avatar.picture, "avatar.jpg")
            await self.bot.send_photo(
                training.chat_id, file, caption=texts.training_done(name), reply_markup=buttons
            )
        else:
            text = texts.training_failed(name, training.price)
            await self.bot.send_message(training.chat_id, text, reply_markup=buttons)


def _new_mark() -> str:
    """Return what is written into a row that is taken: whose it is, and no other claim's."""
    return f"{os.getpid()}-{uuid4().hex}"[:32]


async def _set_announced(_trainings: TrainingService, row: Training) -> None:
    row.announced = True
