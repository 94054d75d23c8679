"""The bot, the simulator and its page, together in one process, until Ctrl-C."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.dispatcher.event.bases import UNHANDLED

from avatar_bot.demo.transcript import raised_at
from avatar_bot.engine import create_engine, create_sessionmaker
from avatar_bot.handlers.errors import is_blocked
from avatar_bot.migrations import migrate
from avatar_bot.notifications import top_up
from avatar_bot.polling import at_work, introduce, stop_signal
from avatar_bot.simulator.api import TOKEN
from avatar_bot.simulator.files import Json
from avatar_bot.simulator.server import Simulator, serving
from sqla_safe import explain

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiogram import Dispatcher
    from aiogram.types import ErrorEvent
    from sqlalchemy.ext.asyncio import AsyncEngine


def run(*, port: int, unsafe: bool) -> int:
    """Run until a signal comes; return the exit code."""
    logging.getLogger("aiogram").setLevel(logging.CRITICAL)  # the page shows the errors
    with TemporaryDirectory(prefix="avatar_bot_") as folder:
        return asyncio.run(_run(Path(folder) / "demo.db", port=port, unsafe=unsafe))


async def _run(database: Path, *, port: int, unsafe: bool) -> int:
    simulator, stop = Simulator(), stop_signal()
    try:
        async with AsyncExitStack() as stack:
            address = await stack.enter_async_context(serving(simulator, port))
            engine = create_engine(f"sqlite+aiosqlite:///{database}")
            await migrate(engine)
            bot, dispatcher = await stack.enter_async_context(
                living(simulator, address, engine, unsafe=unsafe)
            )
            print(_welcome(address, unsafe=unsafe), flush=True)
            await _poll_until_signalled(bot, dispatcher, stop)
    except OSError as error:
        print(f"Port {port} cannot be used ({error.strerror}). Try: demo --port 0", flush=True)
        return 1
    print("Stopped.", flush=True)
    return 0


async def _poll_until_signalled(bot: Bot, dispatcher: Dispatcher, stop: asyncio.Event) -> None:
    """Let the bot poll until it is time to stop."""
    options = {"handle_signals": False, "close_bot_session": False, "polling_timeout": 5}
    polling = asyncio.create_task(dispatcher.start_polling(bot, **options))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({polling, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    with suppress(RuntimeError):  # it had not begun, or has ended by itself
        await dispatcher.stop_polling()
    await polling


def _welcome(address: str, *, unsafe: bool) -> str:
    which = "the old, unsafe handlers" if unsafe else "the bot"
    return (
        f"A chat with {which}: {address}\nNo token, nothing leaves this machine. Ctrl-C stops it."
    )


@asynccontextmanager
async def living(
    simulator: Simulator, address: str, engine: AsyncEngine, *, unsafe: bool = False
) -> AsyncIterator[tuple[Bot, Dispatcher]]:
    """Give a bot that talks to the simulator over HTTP, and its dispatcher."""
    sessions = create_sessionmaker(engine)
    bot = Bot(TOKEN, session=AiohttpSession(api=TelegramAPIServer.from_base(address)))

    async def arrive(telegram_id: int, coins: int) -> None:
        await top_up(bot, sessions, telegram_id, coins)

    async with bot, at_work(bot, engine, sessions, unsafe=unsafe) as dispatcher:
        simulator.top_up, simulator.unsafe = arrive, unsafe
        dispatcher.errors.register(partial(_show, simulator))
        await introduce(bot)
        yield bot, dispatcher


async def _show(simulator: Simulator, event: ErrorEvent) -> object:
    """Show an error on the page as the log of the bot has it, beside the chat where it happened."""
    update = event.update.callback_query or event.update.message
    is_error = not is_blocked(event.exception)
    if is_error and update is not None and update.from_user is not None:
        simulator.report(update.from_user.id, report_of(event.exception))
    return UNHANDLED


def report_of(error: Exception) -> Json:
    """Return the error's name and text, the line that raised it, and what sqla_safe says of it."""
    name = f"{type(error).__module__}.{type(error).__qualname__}"
    explanation = str(explain(error) or "")
    return {
        "error": name.removeprefix("builtins."),
        "text": str(error),
        "explanation": explanation,
        "raised": raised_at(error),
    }
