"""The command line: `python -m avatar_bot` runs the bot, `python -m avatar_bot demo` shows it."""

from __future__ import annotations

import argparse
import asyncio
import io
import logging
import sys
from typing import TYPE_CHECKING

from avatar_bot.settings import from_environment

if TYPE_CHECKING:
    from aiogram import Bot

    from avatar_bot.settings import Settings

DESCRIPTION = """\
A Telegram bot that makes avatars: the example application of sqla_safe.

Without a command it polls Telegram. It needs the environment variable BOT_TOKEN (from @BotFather);
DATABASE_URL is optional (default: sqlite+aiosqlite:///avatar.db). With WEBHOOK_URL it waits for
Telegram's posts on HOST and PORT instead; .env.example has all the variables.
"""

DEMO = """\
Run the bot without token or network, on a temporary SQLite database, with a simulator of Telegram
in place of the real one: a chat page on this machine, until Ctrl-C.

With --script the bug report is played by itself and the conversation is printed. Then the exit
code is 0 when everything happened as expected (with the old handlers, that they fail).
"""

PORT = 8081
INTERRUPTED = 130


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    raw = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(
        "python -m avatar_bot", description=DESCRIPTION, formatter_class=raw
    )
    commands = top.add_subparsers(dest="command", title="commands", metavar="[demo | migrate]")
    demo = commands.add_parser(
        "demo", help="chat with the bot on this machine", description=DEMO, formatter_class=raw
    )
    demo.add_argument("--bug", action="store_true", help="the old handlers, which fail")
    demo.add_argument("--script", action="store_true", help="play the report and print it")
    demo.add_argument("--port", type=int, default=PORT, help="of the page; 0 takes a free one")
    commands.add_parser("migrate", help="bring the database to the newest schema")
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # Russian texts, whatever the locale is
    options = parser().parse_args(arguments)
    try:
        return _run(options)
    except KeyboardInterrupt:  # before anything was started that could be stopped
        return INTERRUPTED


def _run(options: argparse.Namespace) -> int:
    if options.command == "migrate":
        asyncio.run(_migrate())
        return 0
    if options.command is None:
        return run_bot()
    return (
        run_script(bug=options.bug) if options.script else run_demo(options.port, bug=options.bug)
    )


def run_script(*, bug: bool) -> int:
    """Play the report on the terminal."""
    from avatar_bot.demo import story  # noqa: PLC0415  `--help` answers at once

    return story.run(bug_only=bug)


def run_demo(port: int, *, bug: bool) -> int:
    """Run the bot with the simulator and its page."""
    from avatar_bot.demo import live  # noqa: PLC0415  `--help` answers at once

    return live.run(port=port, unsafe=bug)


def run_bot() -> int:
    """Poll Telegram or wait for its webhook, until interrupted."""
    settings = from_environment()
    if not settings.token:
        parser().error("BOT_TOKEN is not set; to try it without one: python -m avatar_bot demo")
    logging.basicConfig(level=logging.INFO)
    asyncio.run(_run_bot(settings))
    return 0


async def _run_bot(settings: Settings) -> None:
    """Run with the bot, the database and the storage that the settings name."""
    from avatar_bot.database import Session, engine  # noqa: PLC0415  `--help` answers at once
    from avatar_bot.polling import poll, serve  # noqa: PLC0415
    from avatar_bot.storage import create_storage  # noqa: PLC0415

    storage = create_storage(settings.redis_url)
    async with _bot(settings) as bot:
        if settings.webhook_url:
            await serve(bot, engine, Session, settings, storage)
        else:
            await bot.delete_webhook()
            await poll(bot, engine, Session, storage)


def _bot(settings: Settings) -> Bot:
    """Return the bot of this token, on Telegram's server or another one."""
    from aiogram import Bot  # noqa: PLC0415  `--help` answers at once
    from aiogram.client.session.aiohttp import AiohttpSession  # noqa: PLC0415
    from aiogram.client.telegram import PRODUCTION, TelegramAPIServer  # noqa: PLC0415
    from aiogram.utils.token import TokenValidationError  # noqa: PLC0415

    api = TelegramAPIServer.from_base(settings.api_url) if settings.api_url else PRODUCTION
    try:
        return Bot(settings.token, session=AiohttpSession(api=api))
    except TokenValidationError:
        parser().error("BOT_TOKEN is not what @BotFather gives, 123456789:AA...")


async def _migrate() -> None:
    from avatar_bot.database import engine  # noqa: PLC0415  `--help` answers at once
    from avatar_bot.migrations import migrate  # noqa: PLC0415

    await migrate(engine)
    await engine.dispose()


if __name__ == "__main__":
    sys.exit(main())
