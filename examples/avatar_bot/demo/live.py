"""The bot, the simulator and its page, together in one process, until Ctrl-C."""

from __future__ import annotations

import asyncio
import logging
import traceback
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
from avatar_bot.migrations import migrate
from avatar_bot.notifications import top_up
from avatar_bot.polling import at_work, introduce, stop_signal
from avatar_bot.simulator.api import TOKEN
from avatar_bot.simulator.server import Simulator, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiogram import Dispatcher
    from aiogram.types import ErrorEvent
    from sqlalchemy.ext.asyncio import AsyncEngine

EXPLANATION = """

SQLAlchemy: the user was loaded in one session, and read after that session had ended.
Each service of the old handlers has a session of its own (di_unsafe.py).
sqla_safe:  one scope for both services, and a snapshot for what is read after it:

    async with scoped_services(sessions, UserService, AvatarService) as (users, avatars):
        user = await users.get_user_by_telegram_id(telegram_id)
        shown = await asnapshot(user, User.balance)
"""


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
        simulator.top_up = arrive
        dispatcher.errors.register(partial(_show, simulator))
        await introduce(bot)
        yield bot, dispatcher


async def _show(simulator: Simulator, event: ErrorEvent) -> object:
    """Show an error on the page, in the chat where it happened."""
    update = event.update.callback_query or event.update.message
    if update is not None and update.from_user is not None:
        text = "".join(traceback.format_exception_only(event.exception)).strip()
        title, _, rest = text.partition(":")
        what = {"title": title, "text": f"{rest.strip()}\n{raised_at(event.exception)}"}
        if title.endswith("DetachedInstanceError"):
            what["text"] += EXPLANATION
        simulator.happened(update.from_user.id, "error", what)
    return UNHANDLED
