"""The bot at work: it polls Telegram, or waits for its webhook, until it is stopped."""

from __future__ import annotations

import asyncio
import signal
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aiogram.types import BotCommand
from aiogram.webhook.aiohttp_server import SimpleRequestHandler, setup_application
from aiohttp import web

from avatar_bot.dispatcher import create_dispatcher
from avatar_bot.locales import en, ru
from avatar_bot.migrations import migrate
from avatar_bot.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from aiogram import Bot, Dispatcher
    from aiogram.fsm.storage.base import BaseStorage
    from aiogram.types import TelegramObject
    from sqlalchemy.ext.asyncio import AsyncEngine

    from avatar_bot.engine import Sessions
    from avatar_bot.settings import Settings

FINISH_SECONDS = 10.0


class InFlight:
    """Counts the updates that are being handled, so that stopping can wait for their answers."""

    def __init__(self) -> None:
        self._count = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def __call__(
        self,
        handler: Callable[[TelegramObject, dict[str, Any]], Awaitable[Any]],
        event: TelegramObject,
        data: dict[str, Any],
    ) -> Any:
        """Handle an update, counted."""
        self._count += 1
        self._idle.clear()
        try:
            return await handler(event, data)
        finally:
            self._count -= 1
            if not self._count:
                self._idle.set()

    async def finish(self, seconds: float = FINISH_SECONDS) -> None:
        """Wait until every update is answered, for some seconds at the most."""
        await asyncio.sleep(0)  # what has just arrived begins
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()


@asynccontextmanager
async def at_work(
    bot: Bot,
    engine: AsyncEngine,
    sessionmaker: Sessions,
    storage: BaseStorage | None = None,
    *,
    unsafe: bool = False,
) -> AsyncIterator[Dispatcher]:
    """Give a dispatcher whose worker is running; at the end stop it and close the engine."""
    trainer, in_flight = Trainer(bot, sessionmaker), InFlight()
    try:
        dispatcher = create_dispatcher(
            sessionmaker, unsafe=unsafe, storage=storage, wake=trainer.wake
        )
        dispatcher.update.outer_middleware(in_flight)
        trainer.start()
        yield dispatcher
    finally:
        await in_flight.finish()
        await trainer.stop()
        await engine.dispose()


async def poll(
    bot: Bot, engine: AsyncEngine, sessionmaker: Sessions, storage: BaseStorage | None = None
) -> None:
    """Bring the database up to date, and answer updates until a signal ends it."""
    await migrate(engine)
    async with at_work(bot, engine, sessionmaker, storage) as dispatcher:
        await introduce(bot)
        await dispatcher.start_polling(bot)


async def introduce(bot: Bot) -> None:
    """Tell Telegram the commands, in both languages."""
    for texts, language in ((en, None), (ru, "ru")):
        commands = [
            BotCommand(command=name, description=what) for name, what in texts.COMMANDS.items()
        ]
        await bot.set_my_commands(commands, language_code=language)


async def serve(
    bot: Bot,
    engine: AsyncEngine,
    sessionmaker: Sessions,
    settings: Settings,
    storage: BaseStorage | None = None,
) -> None:
    """Answer what Telegram posts to the webhook, until a signal ends it.

    Several processes may do so behind one address: they share the database and Redis.
    """
    stop = stop_signal()
    await migrate(engine)
    async with (
        at_work(bot, engine, sessionmaker, storage) as dispatcher,
        listening(bot, dispatcher, settings),
    ):
        await introduce(bot)
        await bot.set_webhook(settings.webhook_url, secret_token=settings.webhook_secret or None)
        await stop.wait()


def stop_signal() -> asyncio.Event:
    """Return an event that Ctrl-C and a termination set."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    with suppress(NotImplementedError):  # on Windows, Ctrl-C is a KeyboardInterrupt
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
    return stop


@asynccontextmanager
async def listening(bot: Bot, dispatcher: Dispatcher, settings: Settings) -> AsyncIterator[None]:
    """Serve the webhook's path on the host and port of the settings."""
    app = web.Application()
    handler = SimpleRequestHandler(
        dispatcher, bot, handle_in_background=True, secret_token=settings.webhook_secret or None
    )
    handler.register(app, path=urlsplit(settings.webhook_url).path or "/")
    setup_application(app, dispatcher, bot=bot)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.port).start()
        yield
    finally:
        await runner.cleanup()
